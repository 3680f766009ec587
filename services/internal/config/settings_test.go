package config_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/testing/configtest"
)

// shared holds every settings struct that services have in common.
type shared struct {
	NATS  config.NATS
	Log   config.Log
	Admin config.Admin
}

func TestSharedDefaults(t *testing.T) {
	var got shared
	if err := config.Load(&got, nil); err != nil {
		t.Fatal(err)
	}
	want := shared{
		NATS:  config.NATS{URL: "nats://127.0.0.1:4222"},
		Log:   config.Log{Level: "info", Format: "auto"},
		Admin: config.Admin{Addr: "127.0.0.1:9600"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for _, key := range config.Keys(got) {
		if !strings.HasSuffix(key.Doc, ".") {
			t.Errorf("%s has no documentation sentence: %q", key.Name, key.Doc)
		}
	}
}

func TestSharedValidation(t *testing.T) {
	userSeed, accountSeed := seed(t, nkeys.CreateUser), seed(t, nkeys.CreateAccount)
	tests := []struct {
		name  string
		env   string // KEY=VALUE, separated by spaces
		fault string // empty if valid
	}{
		{"cluster", "NATS_URL=nats://a:4222,tls://b:4222", ""},
		{"cluster with spaces", "NATS_URL=nats://[::1]:4222,", `NATS_URL: "" is not a URL that starts with nats:// or tls:// or ws:// or wss://`},
		{"no scheme", "NATS_URL=localhost:4222", `NATS_URL: "localhost:4222" is not a URL that starts with nats:// or tls:// or ws:// or wss://`},
		{"credentials in URL", "NATS_URL=nats://me:pass@localhost", "NATS_URL: has an @, as if a user name or password were in it; credentials do not belong in a URL"},
		{"credentials in a URL that does not parse", "NATS_URL=nats://me:pa%ss@localhost", "NATS_URL: has an @, as if a user name or password were in it; credentials do not belong in a URL"},
		{"seed", "NATS_NKEY_SEED=" + userSeed, ""},
		{"seed of an account", "NATS_NKEY_SEED=" + accountSeed, "NATS_NKEY_SEED: not the seed of an NKey user (58 characters that start with SU)"},
		{"seed cut short", "NATS_NKEY_SEED=" + userSeed[:40], "NATS_NKEY_SEED: not the seed of an NKey user (58 characters that start with SU)"},

		{"log", "LOG_LEVEL=debug LOG_FORMAT=json", ""},
		{"level", "LOG_LEVEL=loud", `LOG_LEVEL: "loud" is not one of debug, info, warn, error`},
		{"format", "LOG_FORMAT=xml", `LOG_FORMAT: "xml" is not one of auto, text, json`},

		{"no admin", "ADMIN_ADDR=", ""},
		{"admin on localhost", "ADMIN_ADDR=localhost:0", ""},
		{"admin on IPv6 loopback", "ADMIN_ADDR=[::1]:9600", ""},
		{"admin everywhere", "ADMIN_ADDR=:9600", `ADMIN_ADDR: ":9600" can be reached from other machines; use 127.0.0.1:9600, or set ADMIN_ALLOW_REMOTE=true if that is intended`},
		{"admin on all IPv4", "ADMIN_ADDR=0.0.0.0:9600", `ADMIN_ADDR: "0.0.0.0:9600" can be reached from other machines; use 127.0.0.1:9600, or set ADMIN_ALLOW_REMOTE=true if that is intended`},
		{"admin on a name", "ADMIN_ADDR=box1:9600", `ADMIN_ADDR: "box1:9600" can be reached from other machines; use 127.0.0.1:9600, or set ADMIN_ALLOW_REMOTE=true if that is intended`},
		{"admin allowed everywhere", "ADMIN_ADDR=:9600 ADMIN_ALLOW_REMOTE=true", ""},
		{"admin without port", "ADMIN_ADDR=127.0.0.1", `ADMIN_ADDR: "127.0.0.1" is not of the form host:port`},
		{"admin with a bad port", "ADMIN_ADDR=127.0.0.1:http", `ADMIN_ADDR: "127.0.0.1:http" has no port from 0 to 65535`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			configtest.Faults(t, new(shared), test.env, test.fault)
		})
	}
}

func seed(t *testing.T, create func() (nkeys.KeyPair, error)) string {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return string(seed)
}
