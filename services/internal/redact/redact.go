// Package redact takes secrets of known shapes out of text that is going to be shown
// or kept.
package redact

import (
	"regexp"
	"strings"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

// shape is what secrets of a sort look like in a line of text. The pattern is
// tried only if the text, in lower case, has one of the hints.
type shape struct {
	name    string
	hints   []string
	pattern *regexp.Regexp
	keep    string // what of the match stays before the mark, as for Expand
}

// assigned is what stands behind the = or : of an assignment, quoted or not.
const assigned = `(?:\\?"[^"]*"|'[^']*'|[^\s"'&;]+)`

// shapes are tried in turn. Keys that their own prefix tells come first: the
// prefixes are those that the issuers publish so that leaked keys can be found.
// What is found by its surroundings keeps these, so that a reader sees what was
// done with it.
var shapes = [...]shape{
	{
		"private key",
		[]string{"private key"},
		regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|$)`),
		"",
	},
	{
		"AWS access key id",
		[]string{"akia", "asia", "abia", "acca"},
		regexp.MustCompile(`A(?:KIA|SIA|BIA|CCA)[0-9A-Z]{12,}`),
		"",
	},
	{
		"GitHub, GitLab, npm, Hugging Face",
		[]string{"gh", "github_pat_", "glpat-", "npm_", "hf_"},
		regexp.MustCompile(`gh[a-z]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|npm_\w{20,}|\bhf_\w{20,}`),
		"",
	},
	{
		"Slack",
		[]string{"xox", "xapp-", "hooks.slack.com"},
		regexp.MustCompile(`xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}|hooks\.slack\.com/[\w/-]+`),
		"",
	},
	{
		"Stripe",
		[]string{"k_live_", "k_test_", "whsec_"},
		regexp.MustCompile(`[rsp]k_(?:live|test)_\w{8,}|whsec_[\w+/=]{8,}`),
		"",
	},
	{
		"OpenAI, Anthropic, others that begin with sk-",
		[]string{"sk-"},
		regexp.MustCompile(`sk-(?:ant|proj|svcacct|admin|or)-[\w-]{8,}|\bsk-[\w-]{16,}`),
		"",
	},
	{
		"Google",
		[]string{"aiza", "ya29.", "gocspx-"},
		regexp.MustCompile(`AIza[\w-]{20,}|ya29\.[\w-]{8,}|GOCSPX-[\w-]{8,}`),
		"",
	},
	{
		"Telegram bot token",
		[]string{":"},
		regexp.MustCompile(`\d{6,12}:[A-Za-z0-9_-]{30,}`),
		"",
	},
	{
		"JSON Web Token",
		[]string{"eyj"},
		regexp.MustCompile(`eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)*`),
		"",
	},
	{
		"SendGrid",
		[]string{"sg."},
		regexp.MustCompile(`SG\.[\w-]{16,}\.[\w-]{16,}`),
		"",
	},
	{
		// A slash ends the authority, so that a path with an @ in it cannot be
		// used to have the host redacted.
		"user and password in a URL",
		[]string{"://"},
		regexp.MustCompile(`(://)[^/\s?#]+@`),
		"${1}",
	},
	{
		"Authorization header",
		[]string{"authorization"},
		regexp.MustCompile(`(?i)(authorization\\?["']?\s*[:=]\s*\\?["']?(?:(?:basic|bearer|token|negotiate|apikey)\s+)?)[^\s"'\\,;]+`),
		"${1}",
	},
	{
		"bearer token",
		[]string{"bearer"},
		regexp.MustCompile(`(?i)(\bbearer\s+)[\w.~+/=-]{8,}`),
		"${1}",
	},
	{
		"assignment",
		[]string{"key", "token", "secret", "pass", "pwd", "credential"},
		regexp.MustCompile(`(?i)((?:(?:api|access|secret|private|auth|account|signing|encryption)[_-]?key(?:[_-]?id)?|token|secret|password|passwd|passphrase|pwd|credentials?|\bpass)\\?["']?\s*[=:]\s*)` + assigned),
		"${1}",
	},
	{
		"option",
		[]string{"key", "token", "secret", "pass"},
		regexp.MustCompile(`(?i)((?:^|\s)--?(?:[\w-]*-)?(?:api-?key|access-?key|secret-?key|token|secret|password|passwd|passphrase|pass)\s+)` + assigned),
		"${1}",
	},
	{
		"curl's user and password",
		[]string{"-u"},
		regexp.MustCompile(`((?:^|\s)(?:-u|--user|--proxy-user)[ =]?)[^\s:]+:\S+`),
		"${1}",
	},
	{
		"password behind -p",
		[]string{"mysql", "mariadb", "sshpass"},
		regexp.MustCompile(`(\bsshpass\s+-p\s*|\b(?:mysql|mariadb)\S*\s(?:.*?\s)?-p)[^\s-]\S*`),
		"${1}",
	},
}

// Text replaces the secrets in text. A secret of no known shape it
// cannot see.
func Text(s string) string {
	lower := strings.ToLower(s)
	for i := range shapes {
		if f := &shapes[i]; f.hinted(lower) {
			s = f.pattern.ReplaceAllString(s, f.keep+Mark)
		}
	}
	return s
}

func (f *shape) hinted(lower string) bool {
	for _, hint := range f.hints {
		if strings.Contains(lower, hint) {
			return true
		}
	}
	return false
}
