package detect

import (
	"bytes"
	"regexp"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/rules/lists"
)

// commandReach is a command line, which is a line, and of a very long one what
// is near.
var commandReach = reach{before: 512, after: 1024, line: true}

// Parts of the expressions below. They match what shellText makes of arguments.
const (
	// shell runs what it is fed; what may follow its name keeps words that
	// merely begin alike out.
	shell = `(?:sudo (?:-\S+ )*)?(?:env )?(?:\S*/)?(?:(?:ba|z|da|k|a|c|fi|tc)?sh|powershell|pwsh|iex)(?:[ ;&|)<>]|$)`
	// script is an interpreter that reads its program from standard input, which
	// `python -m json.tool` and `perl -ne` do not.
	script = `(?:sudo (?:-\S+ )*)?(?:\S*/)?(?:python[\d.]*|perl|ruby|node|php)(?: -)? ?(?:[;&|)]|$)`
	runner = `(?:` + shell + `|` + script + `)`
	// download brings a file from elsewhere.
	download = `(?:curl|wget|fetch|aria2c|iwr|irm|invoke-webrequest|invoke-restmethod|lwp-download)`
	// decoder makes something else of an encoded text.
	decoder = `(?:base64 (?:\S+ )*?(?:-d|-di|--decode)|base32 (?:-d|--decode)|xxd -r|openssl (?:enc|base64) [^\n|]*-d)\b`
	// watcher is what watches the agent.
	watcher = `(?:nats|suricata|tracee|secbus|openclaw-security|security-[a-z-]+|falco|auditd|apparmor|crowdsec|osquery)`
	system  = `(?:bin|boot|dev|etc|home|lib|lib64|opt|proc|root|sbin|srv|sys|usr|var|users)`
)

// commandSignatures look for acts that a person wants to know about, no matter who asked for
// them.
func commandSignatures(paths lists.Paths) []signature {
	var signatures []signature
	for _, group := range [][]signature{
		{vendorSignature()},
		downloadSignatures(), remoteSignatures(), credentialSignatures(paths), instructionSignatures(paths),
		persistenceSignatures(), destructionSignatures(), blindingSignatures(),
	} {
		signatures = append(signatures, group...)
	}
	return excepted(signatures)
}

func command(severity proto.Severity, detail, pattern string, keywords ...string) signature {
	p := signature{rule: DangerousCommand, severity: severity, detail: detail, keywords: keywords}
	if pattern != "" {
		p.pattern = regexp.MustCompile(pattern)
	}
	return p
}

func downloadSignatures() []signature {
	downloads := []string{"curl", "wget", "fetch", "aria2c", "iwr", "irm", "invoke-", "lwp-download"}
	fromFile := command(proto.SeverityHigh, "a download that is run from its file",
		`\b`+download+`\b[^\n]*(?:&&|;|\|\|) ?`+shell+`[^\n;&|]*\S`, downloads...)
	fromFile.accept = brought
	return []signature{
		fromFile,
		command(proto.SeverityCritical, "a download that is run at once",
			`\b`+download+`\b[^\n]*[^\n|]\|&? ?`+runner, downloads...),
		command(proto.SeverityCritical, "a download that is run at once",
			`(?:\b(?:`+shell+`|eval|source|python[\d.]* -c|perl -e|exec) ?|(?:^|[;&|\x1e] ?)\. )[^\n|;]*?(?:\$\(|<\(|<<<) ?`+download+`\b`, downloads...),
		command(proto.SeverityCritical, "encoded text that is run",
			`\b`+decoder+`[^\n]*\|&? ?`+runner, "base64", "base32", "xxd", "openssl"),
		command(proto.SeverityCritical, "encoded text that is run",
			`(?:(?:\b(?:`+shell+`|eval|source|exec)|(?:^|[;&|\x1e] ?)\. )[^\n;]*?(?:\$\(|<\(|<<<)|^\x1e? ?\$\()[^\n]*\b`+decoder, "base64", "base32", "xxd", "openssl"),
		command(proto.SeverityCritical, "encoded text that is run",
			`\b(?:powershell|pwsh)(?:\.exe)? [^\n]*-e(?:nc|ncodedcommand|c)? [a-z0-9+/=]{16,}|\bexec\( ?(?:base64\.b64decode|bytes\.fromhex|codecs\.decode|zlib\.decompress)|\beval\( ?(?:atob|buffer\.from)\(`,
			"powershell", "pwsh", "exec(", "eval("),
	}
}

// removes reports whether a tool's name says that it deletes what it is given, and does
// not read it.
func removes(tool string) bool {
	return removing.MatchString(tool) && !reading.MatchString(tool)
}

var (
	removing = regexp.MustCompile(`(?:^|[^A-Za-z])(?i:delete|remove|unlink|erase|trash|rm)(?:[^a-z]|$)|(?:Delete|Remove|Unlink|Erase|Trash)(?:[^a-z]|$)`)
	reading  = regexp.MustCompile(`(?i)read|cat|get|open|show|view|print|load|fetch|send|upload|copy|exec|run|shell|bash`)
)

func remoteSignatures() []signature {
	return []signature{
		command(proto.SeverityCritical, "a reverse shell",
			`(?:>&|&>|<>) ?/dev/(?:tcp|udp)/[^/\s]+/\S`, "/dev/tcp/", "/dev/udp/"),
		// Also how scripts wait for a port without tools.
		command(proto.SeverityHigh, "a connection by the shell itself",
			`[^&<>]> ?/dev/(?:tcp|udp)/[^/\s]+/\S|\b(?:(?:ba|z|da|k)?sh|cat|read|source|exec)(?: -\S+)* ?< ?/dev/(?:tcp|udp)/`, "/dev/tcp/", "/dev/udp/"),
		command(proto.SeverityCritical, "a reverse shell",
			`\b(?:nc|ncat|netcat|nc\.traditional)\b[^\n|;]* (?:-[a-z]*[ec]|--exec|--sh-exec) ?\S*(?:sh|cmd|powershell)\b|\b(?:nc|ncat|netcat|telnet|s_client)\b[^\n]*\|[^\n|]*`+shell+`|\bmkfifo\b[^\n]*\b(?:nc|ncat|netcat|telnet|s_client)\b|\bsocat\b[^\n]*\b(?:exec|system):`,
			"nc ", "nc.", "ncat", "netcat", "telnet", "s_client", "mkfifo", "socat"),
		command(proto.SeverityCritical, "a reverse shell",
			`\bdup2\([^\n]*fileno|\bpty\.spawn\(|\bfsockopen\([^\n]*(?:exec|system|proc_open|popen)\(|\btcpsocket\.(?:new|open)\([^\n]*(?:exec|spawn|/bin/)|\bsocket\b[^\n]*\bexec[ {(]+/bin/|\bnet\.sockets\.tcpclient\b|\bchild_process\b[^\n]*\bsocket\b[^\n]*\bpipe\(|\bxterm -display `,
			"dup2(", "pty.spawn", "fsockopen", "tcpsocket", "socket", "tcpclient", "child_process", "xterm"),
		command(proto.SeverityHigh, "the environment sent away",
			`\b(?:env|printenv|set|export -p)\b[^\n|;]*\|[^\n]*\b(?:curl|wget|nc|ncat|netcat)\b|\b(?:curl|wget)\b[^\n]*\$\( ?(?:env|printenv)\b`, "curl", "wget", "nc "),
		command(proto.SeverityHigh, "a cloud's metadata service",
			`\b169\.254\.(?:169\.254|170\.2)\b|\bmetadata\.google\.internal\b|\bfd00:ec2:(?:0:)*:?254\b|\b100\.100\.100\.200\b|//(?:2852039166|0xa9fea9fe|0251\.0376\.0251\.0376|\[::ffff:a9fe:a9fe\])`,
			"169.254.", "metadata.google", "fd00:ec2", "100.100.100.200", "2852039166", "0xa9fea9fe", "0251.0376", "a9fe:a9fe"),
	}
}

func credentialSignatures(paths lists.Paths) []signature {
	ssh := command(proto.SeverityHigh, "SSH keys", `(?:^|[\s/=:@<(,~\x1e])\.ssh(?:/[\w.*?-]*|[\s;&|)<>,]|$)`, ".ssh")
	ssh.accept = func(match []byte) bool {
		return !bytes.HasSuffix(match, []byte(".pub")) && !bytes.Contains(match, []byte("known_hosts"))
	}
	envPath := command(proto.SeverityHigh, "a file of secrets (.env)", `^\x1e(?:\S*/)?\.env(?:\.(?:local|prod|production|security))?$`, ".env")
	envPath.reads = true
	return []signature{
		ssh,
		command(proto.SeverityHigh, "a file of secrets (.env)",
			`\b(?:cat|tac|less|more|head|tail|strings|base64|xxd|od|grep|awk|sed|tar|zip|gzip|scp|rsync|curl|wget|source|open\w*|read\w*|get-content|type)\b[^\n;|]*[\s/@<(=]\.env(?:\.(?:local|prod|production|security|staging|dev|development))?(?:[\s;&|)<>,]|$)|\b(?:cp|mv) (?:-\S+ )*(?:\S*/)?\.env(?:\.(?:local|prod|production|security))? `,
			".env"),
		envPath,
		command(proto.SeverityHigh, "the agent's own configuration or keys",
			paths.CommandPattern(lists.OwnSecrets...), paths.CommandKeywords(lists.OwnSecrets...)...),
		command(proto.SeverityHigh, "the system's passwords",
			`/etc/(?:g?shadow|sudoers|master\.passwd|security/passwd)\b`, "/etc/"),
		command(proto.SeverityHigh, "a file of credentials",
			`\.aws/(?:credentials\b|sso/|cli/cache)|\.kube/config\b|\.docker/config\.json\b|(?:^|[\s/~\x1e])\.(?:netrc|git-credentials|npmrc|pypirc|pgpass)\b|\.gnupg/(?:private|secring)|\.config/gcloud/|\.claude/\.credentials\.json\b|\.codex/auth\.json\b|\.azure/\w*token|/proc/(?:\d+|self|\*)/environ|\blogin data\b[^\n]*(?:cp|sqlite|copy)|(?:cp|sqlite3?|copy) [^\n]*\blogin data\b|\bsecurity (?:dump-keychain|find-(?:generic|internet)-password)`,
			".aws/", ".kube/", ".docker/", ".netrc", ".git-credentials", ".npmrc", ".pypirc", ".pgpass", ".gnupg", "gcloud", ".claude/", ".codex/", ".azure", "/environ", "login data", "security "),
		command(proto.SeverityHigh, "control of containers, which is control of the host",
			`\bdocker\.sock\b|\b(?:containerd|podman|crio)\.sock\b|\b(?:docker|podman)\b[^\n]* --privileged\b|\b(?:docker|podman)\b[^\n]* (?:-v|--volume)[ =]/:|\bnsenter\b[^\n]* (?:-t ?1\b|--target[ =]1\b)`,
			".sock", "--privileged", "docker", "podman", "nsenter"),
	}
}

// instructionSignatures look for changes of what the agent takes for instructions
// at each start. By its own tools it changes these files every day; by a shell
// command it has less reason to.
func instructionSignatures(paths lists.Paths) []signature {
	file := paths.FilePattern(lists.Instructions...)
	byTool := command(proto.SeverityLow, "the agent's memory, instructions or skills",
		`^(?:\x1e|\*\*\* (?:add|update) file: )`+file+`$`, ".md", "skills/")
	byTool.tool = regexp.MustCompile(`(?i)write|edit|patch|create|append|replace|save|move|rename`)
	return []signature{
		byTool,
		command(proto.SeverityMedium, "the agent's memory, instructions or skills changed",
			`(?:>>? ?|\btee (?:-a )?|\bsed [^\n;&|]*-i\S* [^\n;&|]*)`+file+`(?:[\s;&|)]|$)|\b(?:cp|mv|install|ln|rsync) [^\n;&|]*`+file+` ?(?:[;&|)]|$)|>> ?(?:\./)?(?:agents|tools|user|identity)\.md\b`,
			".md", "skills/"),
	}
}

func persistenceSignatures() []signature {
	return []signature{
		command(proto.SeverityHigh, "SSH access for somebody", `\bauthorized_keys\b`, "authorized_keys"),
		command(proto.SeverityHigh, "a job that comes back",
			`\bcrontab (?:-u \S+ )?(?:-(?:[\s;&|)]|$)|[^-\s|;&)<>][^\n]*)|\| ?(?:sudo )?crontab\b|\beditor=[^\n;&|]*crontab\b|(?:>>? ?|\btee (?:-a )?|\b(?:cp|mv|install|ln)\b[^\n]* |^\x1e)/(?:etc/cron|var/spool/cron)|\b(?:at|batch) now\b`,
			"crontab", "/etc/cron", "/spool/cron", "now"),
		command(proto.SeverityHigh, "a service that comes back",
			`\bsystemctl (?:--\S+ )*(?:link\b|enable (?:--\S+ )*\S*/)|(?:>>? ?|\btee (?:-a )?|\b(?:cp|mv|install|ln)\b[^\n]* |^\x1e)\S*(?:/etc/systemd/|/systemd/user/|/etc/init\.d/|/etc/rc\.local|/library/launch(?:agents|daemons)/|/etc/profile\.d/|/etc/ld\.so\.preload)|\blaunchctl (?:load|bootstrap|submit)\b|\bschtasks\b[^\n]*/create\b|\bcurrentversion\S?run\b`,
			"systemctl", "systemd/", "/init.d", "rc.local", "/launch", "launchctl", "profile.d", "ld.so.preload", "schtasks", "currentversion"),
		command(proto.SeverityHigh, "a start-up file changed",
			`(?:>>? ?|\btee (?:-a )?)\S*\.(?:bashrc|bash_profile|bash_login|profile|zshrc|zprofile|zshenv)\b`, "bashrc", "bash_profile", "bash_login", ".profile", "zshrc", "zprofile", "zshenv"),
		command(proto.SeverityHigh, "rights for good",
			`\bchmod (?:-\S+ )*(?:u?\+s|[46]7\d\d|2755)\b|\bnopasswd:|\b(?:usermod|gpasswd|adduser|useradd)\b[^\n]*\b(?:sudo|wheel|docker|root)\b|\bchattr (?:-\w+ )*[+-]\w*[ia]\w*\b`,
			"chmod", "nopasswd", "usermod", "gpasswd", "adduser", "useradd", "chattr"),
	}
}

func destructionSignatures() []signature {
	return []signature{
		command(proto.SeverityCritical, "everything deleted",
			`\brm (?:-\S+ )*(?:-[a-z]*r[a-z]*|--recursive) (?:-\S+ )*(?:\S+ )*?(?:/|/\*|~/?|~/\*|\$home/?|\$home/\*|/`+system+`/?\*?)(?:[\s;&|)]|$)|--no-preserve-root\b`,
			"rm ", "no-preserve-root"),
		command(proto.SeverityCritical, "a disk overwritten",
			`\bmkfs(?:\.\w+)? [^\n]*/dev/|\bdd [^\n]*\bof=/dev/(?:sd|nvme|vd|xvd|hd|disk|mapper|mmcblk)|(?:>|\bshred [^\n]*) ?/dev/(?:sd|nvme|vd|xvd|hd|disk)\w|\bwipefs -a`,
			"mkfs", "of=/dev/", "/dev/sd", "/dev/nvme", "/dev/vd", "/dev/xvd", "/dev/hd", "/dev/disk", "wipefs"),
	}
}

func blindingSignatures() []signature {
	return []signature{
		command(proto.SeverityHigh, "traces removed",
			`\bhistory -[cw]\b|\bunset histfile\b|\bhistfile=(?:/dev/null|[\s;&]|$)|\bhist(?:file)?size=0\b|\bset \+o history\b|(?:\b(?:rm|shred|truncate|unlink|ln)\b[^\n]*|> ?\S*)\.(?:bash|zsh|python|mysql|psql)_history\b|\b(?:rm|shred|truncate)\b[^\n]* /var/log\b|> ?/var/log/|\bjournalctl\b[^\n]*--vacuum-(?:time=\d+(?:s|sec|min|m)?\b|size=\d{1,2}[km]?\b|files=[01]\b)|\bwevtutil cl\b`,
			"history", "hist", "/var/log", "--vacuum", "wevtutil"),
		command(proto.SeverityCritical, "what watches the agent stopped",
			`\b(?:docker|podman|nerdctl)\b[^\n;&|]* (?:stop|kill|rm|down|pause|disconnect|disable)\b[^\n;&|]*\b`+watcher+`\b|\bsystemctl (?:-\S+ )*(?:stop|disable|mask|kill)\b[^\n;&|]*\b`+watcher+`\b|\b(?:pkill|killall|launchctl (?:unload|bootout))\b[^\n;&|]*\b`+watcher+`\b|\bservice `+watcher+`\S* stop\b|\bkill\b[^\n;&]*(?:pidof|pgrep)[^\n;&]*\b`+watcher+`\b|\b(?:rm|shred|truncate)\b[^\n;&|]*/(?:suricata|tracee|nats|openclaw-security)/`,
			"nats", "suricata", "tracee", "secbus", "openclaw-security", "security-", "falco", "auditd", "apparmor", "crowdsec", "osquery"),
		command(proto.SeverityHigh, "a protection turned off",
			`\biptables (?:-t \w+ )?(?:-f|--flush)\b|\bnft flush ruleset\b|\bufw (?:--force )?(?:disable|reset)\b|\bsetenforce 0\b|\bsystemctl (?:-\S+ )*(?:stop|disable|mask) [^\n;&|]*\b(?:firewalld|ufw|nftables|iptables|rsyslog|systemd-journald)\b|\bset-mppreference\b[^\n]*-disable|\bspctl --master-disable\b`,
			"iptables", "nft ", "ufw", "setenforce", "firewalld", "nftables", "rsyslog", "systemd-journald", "set-mppreference", "spctl"),
	}
}
