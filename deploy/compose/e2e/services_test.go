package e2e

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// service is one of the five services of the stack.
func (r *rig) service(s spec, role string, env map[string]string, nets ...*testcontainers.DockerNetwork) spec {
	s.env = map[string]string{
		"ADMIN_ADDR":          ":9600",
		"ADMIN_ALLOW_REMOTE":  "true",
		"NATS_NKEY_SEED_FILE": "/keys/" + role + ".nk",
		"NATS_URL":            r.natsURL(),
		"OPENCLAW_HOST":       host,
	}
	maps.Copy(s.env, env)
	s.binds = append(s.binds, r.volume("keys-"+role, "/keys:ro"))
	s.nets = append([]*testcontainers.DockerNetwork{r.inner}, nets...)
	return s
}

func (r *rig) keysInit() spec {
	s := spec{name: "keys", image: "secbus", env: maps.Clone(r.plan), cmd: []string{"keys", "init", "--dir", "/seeds", "--config", "/server/nats.conf"}}
	if len(r.cluster) > 0 {
		s.cmd = append(s.cmd, "--cluster", strings.Join(r.cluster, ","))
	}
	s.binds = append(s.binds, r.volume("nats-config", "/server"))
	for _, holder := range holders {
		s.binds = append(s.binds, r.volume("keys-"+holder, "/seeds/"+holder))
	}
	return s
}

func (r *rig) nats(name string) spec {
	return spec{
		name: name, image: "nats", port: 4222,
		env:   map[string]string{"NATS_SERVER_NAME": name},
		binds: []string{r.volume("nats-config", "/server:ro"), r.volume(name+"-data", "/data")},
		nets:  []*testcontainers.DockerNetwork{r.inner, r.edge},
	}
}

func (r *rig) provision() spec {
	s := spec{name: "provision", image: "secbus", env: maps.Clone(r.plan), cmd: []string{"provision", "--wait", "60s"}}
	if len(r.cluster) > 0 {
		s.cmd = append(s.cmd, "--replicas", fmt.Sprint(len(r.cluster)))
	}
	s.env["NATS_URL"], s.env["SECBUS_KEYS"] = r.natsURL(), "/keys"
	s.binds = []string{r.volume("keys-provisioner", "/keys:ro")}
	s.nets = []*testcontainers.DockerNetwork{r.inner}
	return s
}

func (r *rig) shipper(source, file string) spec {
	return r.service(spec{
		name: "shipper-" + source, image: "shipper",
		binds: []string{r.sensorDir + ":/logs:ro", r.volume("shipper-"+source+"-data", "/data")},
	}, "shipper-"+source, map[string]string{
		"SHIPPER_SOURCE": source,
		"SHIPPER_PATH":   "/logs/" + file,
		"SHIPPER_HINT":   "/data/hint.json",
	})
}

func (r *rig) proxy() spec {
	env := map[string]string{
		"LLM_API_BASE":    "http://fake-llm:8082",
		"LLM_API_KEY":     llmKey,
		"PROXY_ADDR":      ":8080",
		"PROXY_AUDIT_DIR": "/data",
	}
	if r.setup.guard {
		env["GUARD_ENABLED"], env["GUARD_URL"] = "true", "http://guard:8000/scan"
	}
	return r.service(spec{name: "proxy", image: "proxy", port: 8080, binds: []string{r.volume("proxy-data", "/data")}}, "proxy", env, r.edge)
}

func (r *rig) guard() spec {
	return spec{
		name: "guard", image: "guard-stub", port: 8000,
		env:  map[string]string{"GUARD_STUB_ADDR": ":8000"},
		nets: []*testcontainers.DockerNetwork{r.edge, r.inner},
	}
}

func (r *rig) notifier() spec {
	return r.service(spec{name: "notifier", image: "notifier"}, "notifier", map[string]string{
		"ALERT_MAX_PER_MINUTE": "60",
		"TELEGRAM_API":         "http://fake-telegram:8081",
		"TELEGRAM_BOT_TOKEN":   botToken,
		"TELEGRAM_CHAT_ID":     r.plan["TELEGRAM_CHAT_ID"],
	}, r.edge)
}

func (r *rig) auditor() spec {
	return r.service(spec{name: "auditor", image: "auditor", binds: []string{r.volume("auditor-data", "/data")}}, "auditor", map[string]string{"AUDIT_DIR": "/data"})
}

// secbus is the operator's command, with the keys that the operator has.
func (r *rig) secbus(args ...string) spec {
	return spec{
		name: "secbus", image: "secbus", cmd: args,
		env:   map[string]string{"NATS_URL": r.natsURL(), "SECBUS_KEYS": "/keys"},
		binds: []string{r.volume("keys-operator", "/keys:ro"), r.volume("auditor-data", "/audit")},
		nets:  []*testcontainers.DockerNetwork{r.inner},
	}
}

func (r *rig) fakeTelegram() spec {
	return spec{
		name: "fake-telegram", image: "fake-telegram", port: 8081,
		cmd:   []string{"-listen", "0.0.0.0:8081", "-unlimited"},
		nets:  []*testcontainers.DockerNetwork{r.edge},
		ready: wait.ForLog("listening on").WithPollInterval(50 * time.Millisecond),
	}
}

func (r *rig) fakeLLM() spec {
	return spec{
		name: "fake-llm", image: "fake-llm", port: 8082,
		cmd:   []string{"-listen", "0.0.0.0:8082", "-key", llmKey},
		nets:  []*testcontainers.DockerNetwork{r.edge},
		ready: wait.ForLog("http://").WithPollInterval(50 * time.Millisecond),
	}
}
