package main

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/services/auditor"
	guardstub "github.com/openclaw-security/bus/services/guard-stub"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/proxy"
	"github.com/openclaw-security/bus/services/shipper"
)

// upSettings is what `secbus up` reads from the environment, the settings of the
// services that it runs included, so that all faults show at once.
type upSettings struct {
	Sensors   sensorSettings
	Shipper   shipper.Config
	Notifier  notifier.Config
	Proxy     proxy.Config
	GuardStub guardstub.Config
	Auditor   auditor.Config
	Retention config.Retention
	Log       config.Log
	Admin     config.Admin

	ownGuard bool // run the shipped guard for the proxy
}

// sensorSettings say where the sensors write on this machine.
type sensorSettings struct {
	Suricata string   `env:"SURICATA_EVE_PATH, default=suricata/logs/eve.json" doc:"Where Suricata writes EVE JSON on this machine: a file, or a pattern for threaded output."`
	Others   []string `env:"SECBUS_SOURCES" doc:"Names of other sources that may publish to the embedded bus, separated by commas. Each gets a key, keys/shipper-NAME.nk in the data directory, for a shipper that runs on its own."`
	Tracee   string   `env:"TRACEE_EVENTS_PATH, default=/tmp/tracee/out/events.json" doc:"Where Tracee writes its events on this machine."`
}

// loadUp reads the settings of `secbus up`.
func loadUp(environ []string) (upSettings, error) {
	// The embedded bus decides where and as whom the services connect, and
	// `secbus up` which sources there are; whatever the environment says of that
	// is for services that run on their own.
	environ = append(environ[:len(environ):len(environ)],
		"SHIPPER_SOURCE="+shipper.SourceSuricata, "NATS_URL=", "NATS_NKEY_SEED=", "NATS_NKEY_SEED_FILE=")
	// A guard that is enabled and not said to be elsewhere is the shipped one.
	own := value(environ, "GUARD_URL") == "" && isTrue(value(environ, "GUARD_ENABLED"))
	if own {
		environ = append(environ, "GUARD_URL=http://"+ownGuard+"/scan")
	}
	var s upSettings
	err := config.Load(&s, environ)
	s.ownGuard = own
	return s, err
}

// ownGuard stands for the address of the shipped guard until it is known.
const ownGuard = "guard.invalid"

// value is what environ says last of key.
func value(environ []string, key string) string {
	for _, entry := range slices.Backward(environ) {
		if v, ok := strings.CutPrefix(entry, key+"="); ok {
			return v
		}
	}
	return ""
}

func isTrue(s string) bool {
	b, err := strconv.ParseBool(s)
	return err == nil && b
}

// settingGroups are all settings of all programs, as they are documented.
func settingGroups() []config.Group {
	return []config.Group{
		{
			Title: "Sensors",
			Intro: "Read by `secbus up`, which runs one shipper for each.",
			Keys:  config.Keys(sensorSettings{}),
		},
		{
			Title: "Shipper",
			Intro: "Read by `shipper`. `secbus up` sets `SHIPPER_SOURCE` and `SHIPPER_PATH` itself.",
			Keys:  without(config.Keys(shipper.Config{}), config.NATS{}),
		},
		{
			Title: "Notifier",
			Intro: "Read by `notifier` and `secbus up`.",
			Keys:  without(without(without(config.Keys(notifier.Config{}), config.NATS{}), config.Telegram{}), config.Webhook{}),
		},
		{
			Title: "Telegram",
			Intro: "Read by `notifier` and `secbus up`; by `secbus provision` too, as each chat has durables of its own.",
			Keys:  config.Keys(config.Telegram{}),
		},
		{
			Title: "Webhook",
			Intro: "Read by `notifier`, `secbus up` and `secbus provision`.",
			Keys:  config.Keys(config.Webhook{}),
		},
		{
			Title: "NATS",
			Intro: "Read by every service that runs on its own, and by `secbus` commands for a server that is not the embedded one.",
			Keys:  config.Keys(config.NATS{}),
		},
		{
			Title: "Retention",
			Intro: "Read by `secbus up` and `secbus provision`, which create and migrate the streams. Sizes are in bytes, ages such as `720h`. A smaller value than the one in force is refused unless `--allow-shrink` is given, since it deletes.",
			Keys:  config.Keys(config.Retention{}),
		},
		{
			Title: "Log, health and metrics",
			Intro: "Read by every service.",
			Keys:  append(config.Keys(config.Log{}), config.Keys(config.Admin{})...),
		},
		{
			Title: "LLM providers",
			Intro: "Read by `proxy` and `secbus up`.",
			Keys:  config.Keys(config.LLM{}),
		},
		{
			Title: "LLM proxy",
			Intro: "Read by `proxy` and `secbus up`.",
			Keys:  without(without(without(config.Keys(proxy.Config{}), config.NATS{}), config.LLM{}), config.Guard{}),
		},
		{
			Title: "Guard",
			Intro: "Read by `proxy` and `secbus up`.",
			Keys:  config.Keys(config.Guard{}),
		},
		{
			Title: "Shipped guard",
			Intro: "Read by `guard-stub`, and by `secbus up` if GUARD_ENABLED is true and GUARD_URL is unset.",
			Keys:  config.Keys(guardstub.Config{}),
		},
		{
			Title: "Auditor",
			Intro: "Read by `auditor` and `secbus up`.",
			Keys:  without(config.Keys(auditor.Config{}), config.NATS{}),
		},
		{
			Title: "Docker compose",
			Intro: "Read by `docker compose`, from `.env.security`.",
			Keys:  composeKeys(),
		},
		{
			Title: "Operator's command",
			Intro: "Read by `secbus`; its flags say the same.",
			Keys:  commandKeys(),
		},
	}
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
		text("SURICATA_INTERFACE", "br-openclaw", "Bridge that Suricata watches: that of OPENCLAW_NETWORK, which suricata/bridge.sh prints. Without OPENCLAW_NETWORK the network that the stack makes gets a bridge of this name."),
		text("SURICATA_LLM_PROXY", "127.0.0.8/32", "Addresses from which TLS to a provider is in order, as Suricata writes them: that of the proxy, where Suricata sees the proxy's own requests."),
		number("SURICATA_LOG_MAX_BYTES", "67108864", "Size at which Suricata's log is rotated, in bytes."),
		number("SURICATA_LOG_KEEP", "8", "Rotated logs of Suricata that are kept."),
		number("TRACEE_LOG_MAX_BYTES", "67108864", "Size at which Tracee's log is rotated, in bytes."),
		number("TRACEE_LOG_KEEP", "8", "Rotated logs of Tracee that are kept."),
		number("SURICATA_REPLICAS", "1", "0 leaves out Suricata and its shipper; then nobody misses them either."),
		number("TRACEE_REPLICAS", "1", "0 leaves out Tracee and its shipper, where the kernel cannot run it; then nobody misses them either."),
		text("SURICATA_IMAGE", "jasonish/suricata:8.0", "Image of Suricata."),
		text("TRACEE_IMAGE", "aquasec/tracee:0.24.1", "Image of Tracee."),
		number("PROXY_PORT", "8080", "Port of 127.0.0.1 on which the LLM proxy is published."),
		number("NATS_PORT", "4222", "Port of 127.0.0.1 on which NATS is published."),
		number("PROMETHEUS_PORT", "9090", "Port of 127.0.0.1 on which Prometheus is published."),
		number("GRAFANA_PORT", "3000", "Port of 127.0.0.1 on which Grafana is published."),
		{Name: "GRAFANA_ADMIN_PASSWORD", Type: "string", Doc: "Password of Grafana's user admin. Grafana does not start without one."},
		text("PROMETHEUS_IMAGE", "prom/prometheus:v3.13.5", "Image of Prometheus."),
		text("GRAFANA_IMAGE", "grafana/grafana:13.1.4", "Image of Grafana."),
		text("SURICATA_UPDATE", "", "off leaves Suricata's rules as they are when the stack starts."),
		text("SURICATA_UPDATE_URLS", "", "Sources of Suricata's rules in place of ET Open, separated by blanks."),
		text("SECURITY_VERSION", "dev", "Version that images are built and started under."),
	}
}

// without returns keys less those of shared, which have a section of their own.
func without(keys []config.Key, shared any) []config.Key {
	return slices.DeleteFunc(keys, func(k config.Key) bool { return slices.Contains(config.Keys(shared), k) })
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
		{Name: "DOCTOR_PROXY", Type: "string", Doc: "Where `secbus doctor` finds the LLM proxy, as `host:port`."},
		{Name: "DOCTOR_DISKS", Type: "list of string", Doc: "Directories of which `secbus doctor` looks at the free space, separated by commas; the one with the streams first."},
		{Name: "DOCTOR_RULES", Type: "string", Doc: "File of Suricata's rules, by which `secbus doctor` tells their age. Unset means by when Suricata loaded them."},
	}
}

// warnUnknown logs settings that look like ours and are not.
func warnUnknown(environ []string, log *slog.Logger) {
	for _, unknown := range config.Unknown(environ, config.StackKeys()) {
		log.Warn("unknown setting", "key", unknown.Name, "did_you_mean", unknown.Suggestion)
	}
}
