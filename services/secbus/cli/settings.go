package cli

import (
	"log/slog"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/service"
)

// settingGroups are all settings of all programs, as they are documented.
func settingGroups(table []service.Spec) []config.Group {
	var groups []config.Group
	for _, spec := range table {
		groups = append(groups, spec.Settings...)
	}
	return append(groups,
		config.NewGroup("NATS", "Read by every service that runs on its own, and by `secbus` commands for a server that is not the embedded one.", config.NATS{}),
		config.NewGroup("Retention", "Read by `secbus up` and `secbus provision`, which create and migrate the streams. Sizes are in bytes, ages such as `720h`. A smaller value than the one in force is refused unless `--allow-shrink` is given, since it deletes.", Retention{}),
		config.NewGroup("Log, health and metrics", "Read by every service.", struct {
			Log   config.Log
			Admin config.Admin
		}{}),
		config.Group{Title: "Docker compose", Intro: "Read by `docker compose`, from `.env.security`.", Keys: composeKeys()},
		config.Group{Title: "Operator's command", Intro: "Read by `secbus`; its flags say the same.", Keys: commandKeys()},
	)
}

// allKeys are the settings of all programs. They share one environment file, so
// that the setting of one program is not a misspelled one of another's.
func allKeys(table []service.Spec) []config.Key {
	var keys []config.Key
	for _, group := range settingGroups(table) {
		keys = append(keys, group.Keys...)
	}
	return keys
}

// composeKeys are read by docker compose itself, from .env.security, and by no
// program of ours.
func composeKeys() []config.Key {
	text := func(name, def, doc string) config.Key {
		return config.Key{Name: name, Type: "string", Default: def, Doc: doc}
	}
	number := func(name, def, doc string) config.Key {
		return config.Key{Name: name, Type: "int", Default: def, Doc: doc}
	}
	return []config.Key{
		text("COMPOSE_PROFILES", "", "Parts that are started only if they are named, separated by commas: guard, monitoring."),
		text("OPENCLAW_GATEWAY", "openclaw-openclaw-gateway-1", "Container of OpenClaw's gateway, by which `setup.sh` finds its network."),
		text("OPENCLAW_NETWORK", "", "Docker network in which OpenClaw is, openclaw_default unless it was named otherwise. Unset means that the stack makes one of its own, to which OpenClaw's containers can be connected."),
		text("OPENCLAW_NATIVE_HOME", "", "Home directory of the user who runs OpenClaw without a container. Tracee then watches it and what it starts, too."),
		text("SURICATA_INTERFACE", "br-openclaw", "Bridge that Suricata watches: that of OPENCLAW_NETWORK, which suricata/bridge.sh prints. Without OPENCLAW_NETWORK the network that the stack makes gets a bridge of this name."),
		text("SURICATA_FURTHER_INTERFACES", "", "Further interfaces that Suricata watches, separated by commas: names, patterns such as br-*, or subnets of Docker networks, by which a network is found again that was made anew. setup.sh writes the subnets of OpenClaw's network, of its sandbox browser's, and of SURICATA_NETWORKS."),
		text("SURICATA_NETWORKS", "", "Further Docker networks of which setup.sh writes the subnets into SURICATA_FURTHER_INTERFACES, separated by commas."),
		text("SURICATA_LLM_PROXY", "127.0.0.8/32", "Addresses from which TLS to a provider is in order, as Suricata writes them: that of the proxy, where Suricata sees the proxy's own requests."),
		number("SURICATA_LOG_MAX_BYTES", "67108864", "Size at which Suricata's log is rotated, in bytes."),
		number("SURICATA_LOG_KEEP", "8", "Rotated logs of Suricata that are kept."),
		number("TRACEE_LOG_MAX_BYTES", "67108864", "Size at which Tracee's log is rotated, in bytes."),
		number("TRACEE_LOG_KEEP", "8", "Rotated logs of Tracee that are kept."),
		number("SURICATA_REPLICAS", "1", "0 leaves out Suricata and its shipper; then nobody misses them either."),
		number("TRACEE_REPLICAS", "1", "0 leaves out Tracee and its shipper, where the kernel cannot run it; then nobody misses them either."),
		text("SURICATA_IMAGE", "jasonish/suricata:8.0", "Image of Suricata."),
		text("GO_IMAGE", "golang:1.26-bookworm", "Image that builds this project's programs."),
		text("NATS_IMAGE", "nats:2.15.2-alpine", "Image that nats-server is taken from."),
		text("TRACEE_IMAGE", "aquasec/tracee:0.24.1", "Image of Tracee."),
		number("PROXY_PORT", "8080", "Port of 127.0.0.1 on which the LLM proxy is published."),
		number("NATS_PORT", "4222", "Port of 127.0.0.1 on which NATS is published."),
		number("PROMETHEUS_PORT", "9090", "Port of 127.0.0.1 on which Prometheus is published."),
		number("GRAFANA_PORT", "3000", "Port of 127.0.0.1 on which Grafana is published."),
		{Name: "GRAFANA_ADMIN_PASSWORD", Type: "string", Doc: "Password of Grafana's user admin. Grafana does not start without one."},
		text("PROMETHEUS_IMAGE", "prom/prometheus:v3.13.5", "Image of Prometheus."),
		text("GRAFANA_IMAGE", "grafana/grafana:13.1.4", "Image of Grafana."),
		text("SURICATA_UPDATE", "", "off leaves Suricata's rules as they are when the stack starts."),
		text("SURICATA_USER", "65533:65533", "User and group that Suricata, and the fetching of its rules, run as once they have started; empty for root."),
		text("SURICATA_UPDATE_URLS", "", "Sources of Suricata's rules in place of ET Open, separated by blanks."),
		text("SECURITY_VERSION", "dev", "Version that images are built and started under."),
	}
}

// commandKeys are the variables that flags of secbus alone read.
func commandKeys() []config.Key {
	return []config.Key{
		{Name: "SECBUS_DATA", Type: "string", Doc: "Data directory of the embedded bus. Unset means `openclaw-security` under `$XDG_STATE_HOME`, which is `~/.local/state` by default."},
		{Name: "SECBUS_KEYS", Type: "string", Doc: "Directory with the seeds of the roles that `secbus` takes, for a NATS server that is not the embedded one."},
		{Name: "SECBUS_AUDIT", Type: "string", Doc: "Directory of the audit log that `secbus audit` reads. Unset means audit in the data directory."},
		{Name: "NATS_CLUSTER", Type: "list of string", Doc: "Names of the servers of a cluster, separated by commas, for `secbus keys init`."},
		{Name: "NATS_DOMAIN", Type: "string", Doc: "JetStream domain of the server, for one that is to be a leaf node, for `secbus keys init`."},
		{Name: "NATS_INCLUDE", Type: "string", Doc: "Further configuration file of the server, for TLS or a leaf node's remote, for `secbus keys init`; relative to the file that it writes."},
		{Name: "DOCTOR_ADMIN", Type: "list of string", Doc: "Services that `secbus doctor` asks whether they are ready, as `host:port` of their ADMIN_ADDR or `name=host:port`, separated by commas."},
		{Name: "DOCTOR_DISKS", Type: "list of string", Doc: "Directories of which `secbus doctor` looks at the free space, separated by commas; the one with the streams first."},
	}
}

// warnUnknown logs settings that look like ours and are not.
func warnUnknown(table []service.Spec, environ []string, log *slog.Logger) {
	for _, unknown := range config.Unknown(environ, allKeys(table)) {
		log.Warn("unknown setting", "key", unknown.Name, "did_you_mean", unknown.Suggestion)
	}
}
