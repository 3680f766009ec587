package proxy_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy"
	"github.com/openclaw-security/bus/services/testing/configtest"
)

func TestDefaults(t *testing.T) {
	var got, want struct {
		LLM   proxy.LLM
		Guard proxy.Guard
	}
	if err := config.Load(&got, nil); err != nil {
		t.Fatal(err)
	}
	want.LLM.APIProvider = "anthropic"
	want.Guard = proxy.Guard{Threshold: 0.8, Timeout: 2 * time.Second}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for _, key := range config.Keys(proxy.Config{}) {
		if !strings.HasSuffix(key.Doc, ".") {
			t.Errorf("%s has no documentation sentence: %q", key.Name, key.Doc)
		}
	}
}

func TestValidation(t *testing.T) {
	tests := []struct {
		name  string
		env   string // KEY=VALUE, separated by spaces
		fault string // empty if valid
	}{
		{"openai", "LLM_API_PROVIDER=openai LLM_API_BASE=https://api.openai.com", ""},
		{"local model", "LLM_API_PROVIDER=openai LLM_API_BASE=http://127.0.0.1:11434", ""},
		{"provider alone", "LLM_API_PROVIDER=gemini", ""},
		{"two providers", "LLM_API_KEY=a LLM_OPENAI_API_KEY=b", ""},
		{"provider", "LLM_API_PROVIDER=acme", `LLM_API_PROVIDER: "acme" is not one of anthropic, openai, gemini`},
		{"provider changed, base not", "LLM_API_PROVIDER=openai LLM_API_BASE=https://api.anthropic.com", `LLM_API_BASE: "https://api.anthropic.com" belongs to anthropic, while LLM_API_PROVIDER says openai`},
		{"base changed, provider not", "LLM_API_BASE=https://api.openai.com/", `LLM_API_BASE: "https://api.openai.com/" belongs to openai, while LLM_API_PROVIDER says anthropic`},
		{"another provider's base", "LLM_OPENAI_API_BASE=https://api.anthropic.com", `LLM_OPENAI_API_BASE: "https://api.anthropic.com" belongs to anthropic, while this setting says openai`},
		{"key of the default provider twice", "LLM_API_KEY=a LLM_ANTHROPIC_API_KEY=b", "LLM_ANTHROPIC_API_KEY: anthropic is the default provider by LLM_API_PROVIDER: use LLM_API_KEY and LLM_API_BASE for it"},
		{"upstreams", "LLM_UPSTREAMS=groq=https://api.groq.com/openai/v1,work:azure=https://me.test,zai:anthropic:no-stream-options=https://zai.test/anthropic LLM_UPSTREAM_KEYS=groq=a,work=b=", ""},
		{"quirks of a provider", "LLM_OPENAI_API_KEY=a LLM_UPSTREAMS=openai:azure:no-stream-options LLM_NO_STREAM_OPTIONS=openai", ""},
		{"upstream's name", "LLM_UPSTREAMS=My_Server=https://host", `LLM_UPSTREAMS: "My_Server" is not of the form name=URL or name:quirk=URL, with a name of lower-case letters, digits and dashes`},
		{"upstream without a URL", "LLM_UPSTREAMS=groq", "LLM_UPSTREAMS: groq has no URL: groq=https://…"},
		{"upstream's URL", "LLM_UPSTREAMS=groq=api.groq.com", `LLM_UPSTREAMS: "api.groq.com" is not a URL that starts with http:// or https://`},
		{"upstream twice", "LLM_UPSTREAMS=a=http://a,a=http://b", "LLM_UPSTREAMS: a is named twice"},
		{"quirk", "LLM_UPSTREAMS=a:fast=http://a", `LLM_UPSTREAMS: a: "fast" is not one of the quirks anthropic, gemini, azure, no-stream-options`},
		{"two APIs", "LLM_UPSTREAMS=a:azure:gemini=http://a", "LLM_UPSTREAMS: a: a server speaks one API: azure, gemini"},
		{"another vendor's URL", "LLM_UPSTREAMS=a=https://api.anthropic.com", `LLM_UPSTREAMS: "https://api.anthropic.com" belongs to anthropic, while a says openai`},
		{"a provider's URL in the wrong place", "LLM_UPSTREAMS=openai=https://host", "LLM_UPSTREAMS: openai: the URL of this provider is LLM_OPENAI_API_BASE, or LLM_API_BASE if it is the default one"},
		{"quirk of a provider that is not there", "LLM_UPSTREAMS=openai:azure", "LLM_UPSTREAMS: openai is not configured: it has neither a key nor a URL"},
		{"API of a provider", "LLM_UPSTREAMS=anthropic:azure", "LLM_UPSTREAMS: anthropic: which API this provider speaks is in its name"},
		{"key of no upstream", "LLM_UPSTREAMS=a=http://a LLM_UPSTREAM_KEYS=b=x", `LLM_UPSTREAM_KEYS: "b" is no name of LLM_UPSTREAMS that has a URL there`},
		{"key of a provider", "LLM_UPSTREAMS=anthropic:no-stream-options LLM_UPSTREAM_KEYS=anthropic=x", `LLM_UPSTREAM_KEYS: "anthropic" is no name of LLM_UPSTREAMS that has a URL there`},
		{"key without a name", "LLM_UPSTREAMS=a=http://a LLM_UPSTREAM_KEYS=a=x,sk-y", "LLM_UPSTREAM_KEYS: number 2 is not of the form name=key, with a name of LLM_UPSTREAMS"},
		{"key twice", "LLM_UPSTREAMS=a=http://a LLM_UPSTREAM_KEYS=a=x,a=y", `LLM_UPSTREAM_KEYS: "a" is named twice`},
		{"base with a query", "LLM_API_BASE=https://host/?key=x", `LLM_API_BASE: "https://host/?key=x" has a query or a fragment`},
		{"base", "LLM_API_BASE=ftp://host", `LLM_API_BASE: "ftp://host" is not a URL that starts with http:// or https://`},
		{"base without a host", "LLM_API_BASE=https://:443/", `LLM_API_BASE: "https://:443/" is not a URL that starts with http:// or https://`},
		{"guard", "GUARD_ENABLED=true GUARD_URL=http://guard:8081 GUARD_THRESHOLD=1", ""},
		{"guard without URL", "GUARD_ENABLED=true", "GUARD_URL: required while GUARD_ENABLED is true"},
		{"guard URL", "GUARD_URL=guard:8081", `GUARD_URL: "guard:8081" is not a URL that starts with http:// or https://`},
		{"threshold above 1", "GUARD_THRESHOLD=80", "GUARD_THRESHOLD: 80 is not between 0 and 1"},
		{"threshold not a number", "GUARD_THRESHOLD=NaN", "GUARD_THRESHOLD: NaN is not between 0 and 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			configtest.Faults(t, new(proxy.Config), test.env, test.fault)
		})
	}
}

func FuzzFaultsShowNoKey(f *testing.F) {
	for _, seed := range []string{"", "sk-ant-x\n", "%s", "a,b", "name=x", "\x00\xff", "$HOME"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		secret := "zq7Xk" + value
		err := config.Load(new(proxy.Config), []string{
			"LLM_API_KEY=" + secret, "LLM_OPENAI_API_KEY=" + secret, "PROXY_CLIENT_TOKENS=" + secret, "LLM_UPSTREAM_KEYS=" + secret,
			"NATS_NKEY_SEED=" + secret, "LLM_API_PROVIDER=neither",
		})
		if err == nil {
			t.Fatal("got no error")
		}
		if strings.Contains(err.Error(), "zq7Xk") {
			t.Errorf("the message shows the secret: %v", err)
		}
	})
}

func TestLLMEndpoints(t *testing.T) {
	key := config.NewSecret("k")
	tests := []struct {
		name string
		llm  proxy.LLM
		want string
	}{
		{"nothing set", proxy.LLM{APIProvider: "anthropic"}, "anthropic https://api.anthropic.com LLM_API_KEY needed"},
		{"a password in the base", proxy.LLM{APIProvider: "openai", APIBase: "https://me:p@ss@gateway:8443/v1"}, "openai https://gateway:8443/v1 LLM_API_KEY"},
		{"an at sign in the path", proxy.LLM{APIProvider: "openai", APIBase: "https://gateway/@me"}, "openai https://gateway/@me LLM_API_KEY"},
		{"a key", proxy.LLM{APIProvider: "openai", APIKey: key}, "openai https://api.openai.com LLM_API_KEY needed set"},
		{"one's own model", proxy.LLM{APIProvider: "openai", APIBase: "http://127.0.0.1:11434"}, "openai http://127.0.0.1:11434 LLM_API_KEY"},
		{
			"the default one first",
			proxy.LLM{APIProvider: "gemini", APIKey: key, AnthropicKey: key, OpenAIBase: "http://model"},
			"gemini https://generativelanguage.googleapis.com LLM_API_KEY needed set, anthropic https://api.anthropic.com LLM_ANTHROPIC_API_KEY needed set, openai http://model LLM_OPENAI_API_KEY",
		},
		{
			"upstreams last",
			proxy.LLM{APIProvider: "openai", Upstreams: []string{"a=http://me:pass@a/v1", "openai:azure:no-stream-options", "b:gemini=http://b"}, UpstreamKeys: config.NewSecret("b=x")},
			"openai azure no-stream-options https://api.openai.com LLM_API_KEY needed, openai a http://a/v1 LLM_UPSTREAM_KEYS, gemini b http://b LLM_UPSTREAM_KEYS set",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, e := range tt.llm.Endpoints() {
				s := e.Provider
				if e.Name != "" {
					s += " " + e.Name
				}
				if e.Azure {
					s += " azure"
				}
				if e.NoStreamOptions {
					s += " no-stream-options"
				}
				s += " " + e.Base + " " + e.KeySetting
				if e.NeedsKey {
					s += " needed"
				}
				if !e.Key.IsZero() {
					s += " set"
				}
				got = append(got, s)
			}
			if joined := strings.Join(got, ", "); joined != tt.want {
				t.Errorf("got  %s\nwant %s", joined, tt.want)
			}
		})
	}
}
