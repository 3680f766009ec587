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
			Title: "Operator's command",
			Intro: "Read by `secbus`; its flags say the same.",
			Keys:  []config.Key{dataKey},
		},
	}
}

// without returns keys less those of shared, which have a section of their own.
func without(keys []config.Key, shared any) []config.Key {
	return slices.DeleteFunc(keys, func(k config.Key) bool { return slices.Contains(config.Keys(shared), k) })
}

// dataKey is the one variable that a flag of secbus alone reads.
var dataKey = config.Key{
	Name: "SECBUS_DATA",
	Type: "string",
	Doc:  "Data directory of the embedded bus. Unset means `openclaw-security` under `$XDG_STATE_HOME`, which is `~/.local/state` by default.",
}

// warnUnknown logs settings that look like ours and are not.
func warnUnknown(environ []string, log *slog.Logger) {
	for _, unknown := range config.Unknown(environ, config.StackKeys()) {
		log.Warn("unknown setting", "key", unknown.Name, "did_you_mean", unknown.Suggestion)
	}
}
