package detect

import (
	"bytes"
	"regexp"

	"github.com/openclaw-security/bus/proto"
)

// What people have their agents do every day looks like an attack to a coarse rule. An
// exception is about one whole command, from its first word to its last, so that nothing
// can be put behind it; and what it lets pass shows no secret and runs nothing that a
// stranger has written.

// vendors serve installers that their documentation has people pipe to a shell. Of a host on
// which anybody can put a file, the project stands with it.
const vendors = `(?:sh\.rustup\.rs|get\.docker\.com|astral\.sh|bun\.(?:sh|com)|(?:deb|rpm)\.nodesource\.com|get\.pnpm\.io|deno\.land|get\.k3s\.io|install\.python-poetry\.org|starship\.rs|tailscale\.com|ollama\.com|claude\.ai|openclaw\.ai|get\.volta\.sh|get\.sdkman\.io|install\.determinate\.systems|fly\.io|cli\.github\.com|get\.helm\.sh|sh\.uv\.dev|mise\.run|` +
	`raw\.githubusercontent\.com/(?:nvm-sh/nvm|homebrew/install|ohmyzsh/ohmyzsh|pyenv/pyenv-installer|helm/helm|k3d-io/k3d|kubernetes-sigs/kustomize|aquasecurity/trivy|golangci/golangci-lint))(?:/[^\s|;&()<>:]*)?`

// installer is a command that runs one, and names no other address.
const installer = `^(?:sudo )?(?:curl|wget) [^|;&()<>:]*https://` + vendors + `(?: [^|;&()<>:]*)?\|&? ?(?:sudo (?:-\S+ )*)?(?:env )?(?:\w+=\S+ )*(?:\S*/)?(?:ba|z|da)?sh(?: [^|;&()<>:]*)?$` +
	`|^(?:\S+=\S+ )*(?:sudo )?(?:\S*/)?(?:ba|z)?sh -c \$\((?:curl|wget) [^|;&()<>:]*https://` + vendors + `\)?(?: [^|;&()<>:]*)?$`

// ordinary are the exceptions, by the detail of the signatures that have them.
var ordinary = map[string]string{
	"a download that is run at once": installer,

	// Names, rights and new keys; a key that a program is to use.
	"SSH keys": `^(?:sudo )?(?:chmod|chown|mkdir|ls|stat|test|\[|touch|ssh-keygen|ssh-add|ssh-copy-id) [^;&|<>$]*$` +
		`|^(?:ssh|scp|sftp|rsync|mosh|autossh) (?:[^;&|<>$]* )?-i ?[\w~./-]*/\.ssh/[\w.-]+ (?:[^;&|<>$.]|\.[^;&|<>$s]|\.s[^;&|<>$s])*$` +
		`|^git_ssh_command=ssh -i ?[\w~./-]+(?: -o \S+)* git \w+[^;&|<>$]*$`,
	"a file of secrets (.env)": `^(?:source|\.) [\w./-]*\.env$|^cat [\w./-]*\.env\.(?:example|sample|template|dist) ?>>? ?[\w./-]*\.env$` +
		`|\| ?grep (?:-\w+ )*\\?\.env$|^grep (?:-\w+ )*\^?\\?/?\.env\$? [\w./-]*ignore$` +
		`|^grep (?:-[a-z]+ )*\^?(?:port|host|hostname|node_env|log_level|debug|base_url|tz|lang|version|domain|compose_\w+|app_name|app_env)=? [\w./-]*\.env$` +
		`|^cat ?>>? ?\S+ ?(?:<<-? ?\w+)?$`,
	"the agent's own configuration or keys": `^(?:vim?|nano|code) [\w~./-]*openclaw\.json$|^(?:sudo )?(?:ls|stat|test|\[|chmod|chown|wc|du|touch|sha256sum|md5sum|jsonlint) [^;&|<>$]*$` +
		`|^cp (?:-\w+ )*([\w~./$-]*openclaw\.json) [\w~./$-]*openclaw\.json[\w.$()%+-]*(?: ?\+%\S+)?$` +
		`|^(?:cat [\w~./$-]*openclaw\.json ?\| ?)?jq (?:-\w+ )*\.(?:gateway\.(?:port|bind|mode)|models(?:\.(?:mode|providers ?\| ?keys))?|agents[\w.\[\]]*|logging[\w.]*|session[\w.]*|plugins\.(?:allow|entries ?\| ?keys)|meta[\w.]*|cron[\w.]*|ui[\w.]*|wizard[\w.]*)(?: [\w~./$-]*openclaw\.json)?$` +
		`|^grep (?:-\w+ )*(?:port|bind|primary|fallbacks|model|loglevel|workspace|baseurl|enabled) [\w~./$-]*openclaw\.json$`,
	"a file of credentials": `^(?:export )?(?:kubeconfig=\S+ ?)?(?:kubectl|helm|k9s|kustomize|flux|argocd|stern)? ?(?:--kubeconfig[ =]\S+)?(?: [^;&|<>$/]*)?$` +
		`|^(?:echo|printf) [^;&|<>]*>>? ?[\w~./$-]*\.(?:npmrc|netrc|pypirc|pgpass|git-credentials)$` +
		`|^(?:ls|stat|test|\[|chmod|chown|mkdir|touch) [^;&|<>$]*$`,
	"control of containers, which is control of the host": `^(?:sudo )?(?:docker|podman) run [^;&|<>$]*--privileged (?:docker\.io/)?(?:multiarch/qemu-user-static|tonistiigi/binfmt)(?::[\w.-]+)?(?: [^;&|<>$]*)?$` +
		`|^(?:sudo )?(?:docker|podman) run (?:-[^v]\S* (?:[^-\s]\S* )?|-v (?:/var/run|/run)/docker\.sock:/var/run/docker\.sock(?::ro)? |-v [\w.-]+:/\S+ )*(?:docker\.io/)?(?:traefik|portainer/portainer-(?:ce|ee)|containrrr/watchtower|amir20/dozzle|nginxproxy/nginx-proxy|jwilder/nginx-proxy|aquasec/trivy|wagoodman/dive|gcr\.io/cadvisor/cadvisor|netdata/netdata|louislam/dockge)(?::[\w.-]+)?(?: [^;&|<>$]*)?$` +
		`|^(?:ls|stat) [^;&|<>$]*$`,
	"a start-up file changed": `^(?:echo|printf) (?:export (?:path|\w+_(?:home|dir|root|path)|editor|visual|pager|lang|gopath|term|histsize)=[\w$~./:{}-]*|alias \w+=[\w ./-]*|eval \$\((?:direnv|starship|zoxide|pyenv|rbenv|nodenv|fnm|brew|/\S+/brew|mise|atuin|fzf|ssh-agent|gh|kubectl|uv)(?: [\w-]+)*\)|source <\((?:kubectl|helm|gh|docker) completion \w+\)|(?:source|\.) \$?[\w~./]*/(?:nvm|cargo|sdkman|fzf|asdf|google-cloud-sdk)[\w./-]*)\)? ?>>? ?\S+$` +
		`|^echo ?>> ?\S+$`,
	"traces removed": `^(?:run )?(?:[^;&]*)?rm -rf? /var/lib/apt/lists/\*? /var/log/\*$`,
}

// brought reports whether a command brings something from another machine, and not just
// speaks of a download.
func brought(match []byte) bool {
	return elsewhere.Match(match) && !(onThisMachine.Match(match) && bytes.Count(match, []byte("://")) == 1)
}

var (
	elsewhere     = regexp.MustCompile(`://|\w\.[a-z]{2,}(?::\d+)?/`)
	onThisMachine = regexp.MustCompile(`^\w+ [^;&|]*://(?:localhost|127\.0\.0\.1|\[::1\])[:/ ]`)
)

// vendorSignature reports an installer as what it is.
func vendorSignature() signature {
	s := command(proto.SeverityLow, "a vendor's installer that is run at once", `\b(?:curl|wget) [^\n]*https://`+vendors, "curl", "wget")
	s.only = regexp.MustCompile(installer)
	return s
}

// excepted gives signatures their exceptions.
func excepted(signatures []signature) []signature {
	for i := range signatures {
		if pattern, ok := ordinary[signatures[i].detail]; ok {
			signatures[i].except = regexp.MustCompile(pattern)
		}
	}
	return signatures
}
