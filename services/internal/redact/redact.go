// Package redact takes secrets of known shapes out of text that is going to be shown
// or kept.
package redact

import (
	"regexp"
	"slices"
	"strings"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

// shape is what secrets of a sort look like. The pattern is tried only if the
// text, in lower case, has one of the hints. What its group matches, if it has
// one, stays: it tells a reader what was done with the secret.
type shape struct {
	name    string
	hints   []string
	pattern *regexp.Regexp
}

// assigned is what stands behind the = or : of an assignment, quoted or not. A
// sensor may have cut it before the second quote.
const assigned = `(?:\\?"[^"]*(?:"|$)|'[^']*(?:'|$)|[^\s"'&;]+)`

// shapes are keys that their own prefix tells, as their issuers publish it so
// that leaked ones can be found, and secrets that their surroundings tell.
var shapes = [...]shape{
	{
		"private key",
		[]string{"private key"},
		regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|$)`),
	},
	{
		"AWS access key id",
		[]string{"akia", "asia", "abia", "acca"},
		regexp.MustCompile(`A(?:KIA|SIA|BIA|CCA)[0-9A-Z]{12,}`),
	},
	{
		"GitHub, GitLab, npm, Hugging Face",
		[]string{"gh", "github_pat_", "glpat-", "npm_", "hf_"},
		regexp.MustCompile(`gh[a-z]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|npm_\w{20,}|\bhf_\w{20,}`),
	},
	{
		"Slack",
		[]string{"xox", "xapp-", "hooks.slack.com"},
		regexp.MustCompile(`xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}|hooks\.slack\.com/[\w/-]+`),
	},
	{
		"Stripe",
		[]string{"k_live_", "k_test_", "whsec_"},
		regexp.MustCompile(`[rsp]k_(?:live|test)_\w{8,}|whsec_[\w+/=]{8,}`),
	},
	{
		"OpenAI, Anthropic, others that begin with sk-",
		[]string{"sk-"},
		regexp.MustCompile(`sk-(?:ant|proj|svcacct|admin|or)-[\w-]{8,}|\bsk-[\w-]{16,}`),
	},
	{
		"Google",
		[]string{"aiza", "ya29.", "gocspx-"},
		regexp.MustCompile(`AIza[\w-]{20,}|ya29\.[\w-]{8,}|GOCSPX-[\w-]{8,}`),
	},
	{
		"Telegram bot token",
		[]string{":"},
		regexp.MustCompile(`\d{6,12}:[A-Za-z0-9_-]{30,}`),
	},
	{
		"JSON Web Token",
		[]string{"eyj"},
		regexp.MustCompile(`eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)*`),
	},
	{
		"SendGrid",
		[]string{"sg."},
		regexp.MustCompile(`SG\.[\w-]{16,}\.[\w-]{16,}`),
	},
	{
		// A slash ends the authority, so that a path with an @ in it cannot be
		// used to have the host redacted.
		"user and password in a URL",
		[]string{"://"},
		regexp.MustCompile(`(://)[^/\s?#]+@`),
	},
	{
		"Authorization header",
		[]string{"authorization"},
		regexp.MustCompile(`(?i)(authorization\\?["']?\s*[:=]\s*\\?["']?(?:(?:basic|bearer|token|negotiate|apikey)\s+)?)[^\s"'\\,;]+`),
	},
	{
		"bearer token",
		[]string{"bearer"},
		regexp.MustCompile(`(?i)(\bbearer\s+)[\w.~+/=-]{8,}`),
	},
	{
		"assignment",
		[]string{"key", "token", "secret", "pass", "pwd", "credential"},
		regexp.MustCompile(`(?i)((?:(?:api|access|secret|private|auth|account|signing|encryption)[_-]?key(?:[_-]?id)?|token|secret|password|passwd|passphrase|pwd|credentials?|\bpass|[?&]key)\\?["']?\s*[=:]\s*)` + assigned),
	},
	{
		"option",
		[]string{"key", "token", "secret", "pass"},
		regexp.MustCompile(`(?i)((?:^|\s)--?(?:[\w-]*-)?(?:api-?key|access-?key|secret-?key|token|secret|password|passwd|passphrase|pass)\s+)` + assigned),
	},
	{
		"curl's user and password",
		[]string{"-u"},
		regexp.MustCompile(`((?:^|\s)(?:-u|--user|--proxy-user)[ =]?)[^\s:]+:\S+`),
	},
	{
		"password behind -p",
		[]string{"mysql", "mariadb", "sshpass"},
		regexp.MustCompile(`(\bsshpass\s+-p\s*|\b(?:mysql|mariadb)\S*\s(?:.*?\s)?-p)[^\s-]\S*`),
	},
}

// Text replaces the secrets in a text. A secret of no known shape it cannot
// see.
//
// Each shape looks at the text as it was: if one saw what another has left, the
// name of a secret could be taken for the value before it, and be gone when its
// own value is looked for.
func Text(s string) string {
	lower := strings.ToLower(s)
	var secrets []span
	for i := range shapes {
		if f := &shapes[i]; f.hinted(lower) {
			secrets = append(secrets, f.find(s)...)
		}
	}
	if len(secrets) == 0 {
		return s
	}
	slices.SortFunc(secrets, func(a, b span) int { return a.start - b.start })
	var b strings.Builder
	end := 0
	for _, secret := range secrets {
		if secret.start >= end {
			b.WriteString(s[end:secret.start])
			b.WriteString(Mark)
		}
		end = max(end, secret.end)
	}
	b.WriteString(s[end:])
	return b.String()
}

// span is a part of a text, in bytes.
type span struct{ start, end int }

func (f *shape) find(s string) []span {
	var found []span
	for from := 0; ; {
		at := f.pattern.FindStringSubmatchIndex(s[from:])
		if at == nil {
			return found
		}
		next := at[1]
		secret := span{from + at[0], from + at[1]}
		if len(at) > 2 { // there may be another name in what is taken for the value
			next = at[3]
			secret.start = from + at[3]
		}
		found = append(found, secret)
		from += next
	}
}

func (f *shape) hinted(lower string) bool {
	for _, hint := range f.hints {
		if strings.Contains(lower, hint) {
			return true
		}
	}
	return false
}
