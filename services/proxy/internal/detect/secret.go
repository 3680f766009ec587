package detect

import (
	"bytes"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// shape is what the secrets of one kind look like.
type shape struct {
	detail   string
	keywords []string
	pattern  string
	// homes are the domains of who issued the secret and gets to see it anyway.
	homes []string
}

// shapes are the secrets that are known by what they look like. The forms are
// those that the vendors document for secret scanners
// (https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns).
func shapes() []shape {
	return []shape{
		{"an AWS access key", []string{"AKIA", "ASIA"}, `\b(?:AKIA|ASIA)[A-Z2-7]{16}\b`, []string{"amazonaws.com", "aws.amazon.com"}},
		{"an AWS secret key", []string{"aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey"}, `(?i)secret_?access_?key["']?\s*[=:]\s*["']?[A-Za-z0-9/+]{40}\b`, []string{"amazonaws.com", "aws.amazon.com"}},
		{"a GitHub token", []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_"}, `\bgh[pousr]_[A-Za-z0-9]{36,}\b`, []string{"github.com", "githubusercontent.com"}},
		{"a GitHub token", []string{"github_pat_"}, `\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b`, []string{"github.com", "githubusercontent.com"}},
		{"a GitLab token", []string{"glpat-"}, `\bglpat-[\w-]{20,}`, []string{"gitlab.com"}},
		{"a Slack token", []string{"xoxb-", "xoxp-", "xoxa-", "xoxs-", "xoxr-", "xoxe-", "xapp-"}, `\bx(?:ox[bpasre]|app)-[\w-]*\d{6,}[\w-]{10,}`, []string{"slack.com"}},
		{"a Slack webhook", []string{"hooks.slack.com/services/"}, `hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{20,}`, []string{"slack.com"}},
		{"a private key", []string{"PRIVATE KEY"}, `-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr]|[A-Za-z0-9-]+: [^\n]*\n)*[A-Za-z0-9+/=]{40}`, nil},
		{"an OpenAI key", []string{"T3BlbkFJ"}, `\bsk-(?:proj-|svcacct-|admin-)?[\w-]{20,}T3BlbkFJ[\w-]{20,}`, []string{"openai.com"}},
		{"an Anthropic key", []string{"sk-ant-"}, `\bsk-ant-[a-z]+\d\d-[\w-]{80,}`, []string{"anthropic.com"}},
		{"an OpenRouter key", []string{"sk-or-v1-"}, `\bsk-or-v1-[0-9a-f]{64}\b`, []string{"openrouter.ai"}},
		{"a Google API key", []string{"AIza"}, `\bAIza[\w-]{35}\b`, []string{"googleapis.com", "google.com"}},
		{"a Google OAuth secret", []string{"GOCSPX-", "ya29."}, `\b(?:GOCSPX-[\w-]{28}|ya29\.[\w-]{30,})`, []string{"googleapis.com", "google.com"}},
		{"a Telegram bot token", []string{":AA"}, `\b\d{8,10}:AA[\w-]{33}\b`, []string{"api.telegram.org"}},
		{"a JSON web token", []string{".eyJ"}, `\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}`, nil},
		{"an npm token", []string{"npm_"}, `\bnpm_[A-Za-z0-9]{36}\b`, []string{"npmjs.org", "npmjs.com"}},
		{"a PyPI token", []string{"pypi-AgEIcHlwaS5vcmc"}, `\bpypi-AgEIcHlwaS5vcmc[\w-]{50,}`, []string{"pypi.org"}},
		{"a Stripe key", []string{"_live_"}, `\b[sr]k_live_[A-Za-z0-9]{20,}\b`, []string{"stripe.com"}},
		{"a SendGrid key", []string{"SG."}, `\bSG\.[\w-]{22}\.[\w-]{43}\b`, []string{"sendgrid.com"}},
		{"a Hugging Face token", []string{"hf_"}, `\bhf_[A-Za-z]{34}\b`, []string{"huggingface.co"}},
		{"a NATS seed", []string{"SUA", "SAA", "SOA"}, `\bS[UAO]A[A-Z2-7]{55}\b`, nil},
	}
}

// secretReach has room for the header of a JSON web token before its keyword
// and for the first line of a private key behind.
var secretReach = reach{before: 200, after: 400}

// secretProbes are probes of the shapes, in their order.
func secretProbes(rule string, severity proto.Severity) []probe {
	var probes []probe
	for _, s := range shapes() {
		probes = append(probes, probe{
			rule: rule, severity: severity, detail: s.detail, keywords: s.keywords, exact: true,
			pattern: regexp.MustCompile(s.pattern), accept: random, homes: s.homes,
		})
	}
	return probes
}

// minEntropy is in bits a character. Placeholders have less than 3, real
// secrets of 20 characters and more have at least 3.3.
const minEntropy = 3.0

// random tells a secret from a placeholder: xxxxxxxx, 1234512345, …EXAMPLE.
func random(match []byte) bool {
	if bytes.Contains(match, []byte("EXAMPLE")) || bytes.Contains(match, []byte("example")) {
		return false
	}
	var counts [256]int
	for _, c := range match {
		counts[c]++
	}
	entropy := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(match))
			entropy -= p * math.Log2(p)
		}
	}
	return entropy >= minEntropy
}

// Words that say that a tool, or a command, talks to the network.
var (
	outboundTool    = regexp.MustCompile(`(?i)fetch|http|url|web|brows|request|curl|post|send|mail|upload|message|tweet|slack|telegram|discord`)
	outboundCommand = regexp.MustCompile(`\b(?:https?|ftp|wss?)://|\b(?:curl|wget|nc|ncat|netcat|socat|telnet|scp|sftp|rsync|ssh|ftp|nslookup|dig|aria2c|httpie|sendmail)\s|\b(?:requests|httpx|axios)\.|\bfetch\(|\burlopen\(|\binvoke-(?:webrequest|restmethod)\b|\bgit\s+push\b|/dev/(?:tcp|udp)/`)
	httpURL         = regexp.MustCompile("(?i)https?://[^\\s\"'`<>|;)]+")
)

// atHome reports whether all that text names as a destination belongs to who
// issued the secret: a GitHub token in a call to GitHub is as it should be.
func atHome(text []byte, homes []string) bool {
	urls := httpURL.FindAll(text, -1)
	for _, raw := range urls {
		// Parsed, because https://github.com@evil.example/ is at evil.example.
		u, err := url.Parse(string(raw))
		if err != nil || !slices.ContainsFunc(homes, func(home string) bool {
			host := strings.ToLower(u.Hostname())
			return host == home || strings.HasSuffix(host, "."+home)
		}) {
			return false
		}
	}
	return len(urls) > 0
}
