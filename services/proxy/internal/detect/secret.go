package detect

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/internal/secret"
)

// Words that say that a tool, or a command, talks to the network.
var (
	outboundTool    = regexp.MustCompile(`(?i)fetch|http|url|web|brows|request|curl|post|send|mail|upload|message|tweet|slack|telegram|discord`)
	outboundCommand = regexp.MustCompile(`\b(?:https?|ftp|wss?)://|\b(?:curl|wget|nc|ncat|netcat|socat|telnet|scp|sftp|rsync|ssh|ftp|nslookup|dig|aria2c|httpie|sendmail)\s|\b(?:requests|httpx|axios)\.|\bfetch\(|\burlopen\(|\binvoke-(?:webrequest|restmethod)\b|\bgit\s+push\b|/dev/(?:tcp|udp)/`)
	httpURL         = regexp.MustCompile("(?i)https?://[^\\s\"'`<>|;)]+")
)

// atHome reports whether all that text names as a destination belongs to the
// issuer of the secret, or is what it gives access to: a GitHub token in a call
// to GitHub is as it should be.
func atHome(text []byte, s secret.Found) bool {
	urls := httpURL.FindAll(text, -1)
	for _, raw := range urls {
		// Parsed, because https://github.com@evil.example/ is at evil.example.
		u, err := url.Parse(string(raw))
		if err != nil {
			return false
		}
		host := strings.ToLower(u.Hostname())
		if (s.Host == "" || host != s.Host) && !slices.ContainsFunc(s.Shape.Homes, func(home string) bool {
			return host == home || strings.HasSuffix(host, "."+home)
		}) {
			return false
		}
	}
	return len(urls) > 0
}
