package normalize

import (
	"regexp"
	"strings"
)

const redacted = "[redacted]"

// secret is a shape that secrets have in a command line. The pattern is only
// tried on lower-case text that has one of the hints.
type secret struct {
	hints   []string
	pattern *regexp.Regexp
	replace string
}

// value is what stands behind the = or : of an assignment, quoted or not.
const value = `(?:\\?"[^"]*"|'[^']*'|[^\s"'&;]+)`

// secrets are tried in turn:
//
//   - keys that their own prefix tells: Anthropic and OpenAI (sk-), GitHub
//     (ghp_, gho_, …, github_pat_), Slack (xoxb-, …), AWS access key ids (AKIA,
//     ASIA), Google (AIza), Telegram bot tokens, JSON Web Tokens;
//   - the user and password of a URL, and those of curl -u and --user;
//   - what an Authorization header holds, and any bearer token;
//   - what is assigned, by = or :, to a name that ends in key, token, secret,
//     password or passwd.
var secrets = [...]secret{
	{
		[]string{"sk-", "gh", "github_pat_", "xox", "akia", "asia", "aiza", "eyj", ":aa"},
		regexp.MustCompile(`\b(?:sk-[\w-]{8,}|gh[a-z]_\w{16,}|github_pat_\w{16,}|xox[a-z]-[\w-]{8,}` +
			`|A(?:KIA|SIA)[0-9A-Z]{12,}|AIza[\w-]{20,}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*)|\d{6,12}:AA[\w-]{30,}`),
		redacted,
	},
	{
		[]string{"://"},
		regexp.MustCompile(`(://)[^/\s]+@`),
		"${1}" + redacted + "@",
	},
	{
		[]string{"-u"},
		regexp.MustCompile(`(^|\s)(-u|--user)([ =])[^\s:]+:\S+`),
		"${1}${2}${3}" + redacted,
	},
	{
		[]string{"authorization"},
		regexp.MustCompile(`(?i)(authorization\\?["']?\s*[:=]\s*)[^"'\\]+`),
		"${1}" + redacted,
	},
	{
		[]string{"bearer"},
		regexp.MustCompile(`(?i)(bearer\s+)[\w.~+/=-]+`),
		"${1}" + redacted,
	},
	{
		[]string{"key", "token", "secret", "passw"},
		regexp.MustCompile(`(?i)((?:key|token|secret|password|passwd)\\?["']?\s*[=:]\s*)` + value),
		"${1}" + redacted,
	},
}

// secretFlag matches an option whose value is the next argument.
var secretFlag = regexp.MustCompile(`(?i)^--?[\w-]*(?:key|token|secret|password|passwd)$`)

// RedactArgs replaces secrets in a command line, in place. It knows the shapes
// above and options like --password whose value is the next argument; a secret
// of no known shape it cannot see.
func RedactArgs(argv []string) []string {
	for i, arg := range argv {
		if i > 0 && arg != "" {
			switch flag := argv[i-1]; {
			case secretFlag.MatchString(flag),
				(flag == "-u" || flag == "--user") && strings.Contains(arg, ":"):
				argv[i] = redacted
				continue
			}
		}
		argv[i] = redact(arg)
	}
	return argv
}

func redact(arg string) string {
	lower := strings.ToLower(arg)
	for i := range secrets {
		s := &secrets[i]
		for _, hint := range s.hints {
			if strings.Contains(lower, hint) {
				arg = s.pattern.ReplaceAllString(arg, s.replace)
				break
			}
		}
	}
	return arg
}
