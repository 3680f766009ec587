package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/service"
)

// weatherSpec declares a service that only this test knows: it keeps a stream of
// its own, and counts alerts.
func weatherSpec() service.Spec {
	type settings struct {
		Town string `env:"WEATHER_TOWN, default=Ulm" doc:"Town of which the weather is watched."`
	}
	durable := proto.Consumer{Durable: "weather", Stream: proto.AlertsStream("suricata"), Description: "Alerts about the weather", AckWait: time.Minute, MaxAckPending: 10}
	return service.Spec{
		Name:        "weather",
		Description: "watch the weather",
		Settings:    []config.Group{config.NewGroup("Weather", "Read by `weather`.", settings{})},
		Layout: func(service.Deployment) (service.Layout, error) {
			return service.Layout{
				Streams:  []proto.Stream{{Name: "WEATHER", Description: "The weather", Subjects: []string{"weather.>"}, MaxAge: time.Hour, MaxBytes: 1 << 20, Discard: proto.DiscardOld}},
				Durables: []proto.Consumer{durable},
				Roles: []bus.Role{{
					Name: "weather", Description: "Watches the weather",
					Publish: append(bus.GrantConsume(durable), "weather.>"),
				}},
			}, nil
		},
		Embed: func(d service.Deployment) (service.Start, error) {
			var cfg settings
			if err := config.Load(&cfg, d.Environ); err != nil {
				return nil, err
			}
			return func(_ context.Context, h *service.Host) ([]daemon.Service, error) {
				nats, err := h.Connect("weather")
				if err != nil {
					return nil, err
				}
				h.Note("The weather in %s is watched.", cfg.Town)
				return []daemon.Service{{Name: "weather", Run: func(ctx context.Context, rt daemon.Runtime) error {
					key, err := nats.Key()
					if err != nil {
						return err
					}
					conn, err := bus.Connect(ctx, bus.Options{URL: nats.URL, Role: "weather", Key: key, Log: rt.Log})
					if err != nil {
						return err
					}
					defer conn.Close()
					_, err = conn.Bind(ctx, durable.Stream, durable.Durable)
					rt.Ready.Set("forecast", err)
					<-ctx.Done()
					return nil
				}}}, nil
			}, nil
		},
		Check: func(_ context.Context, c service.Checkup) []check.Finding {
			f := check.List{Hop: "weather"}
			f.Add(config.Lookup(c.Environ, "WEATHER_TOWN"), check.Warning, "it rains")
			return f.All
		},
	}
}

// A service that is added to the table is run, documented, provisioned, given
// its rights and checked without any other change.
func TestServiceOfTheTable(t *testing.T) {
	s := newSession(t, "OPENCLAW_HOST=box1", "ADMIN_ADDR=127.0.0.1:0", "PROXY_ADDR=127.0.0.1:0", "WEATHER_TOWN=Bonn", "WEATHER_TWON=Bonn")
	s.table = append(s.table, weatherSpec())
	s.environ = append(s.environ, "SURICATA_EVE_PATH="+filepath.Join(s.dir, "eve.json"), "TRACEE_EVENTS_PATH="+filepath.Join(s.dir, "events.json"))
	shows := func(what, text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", what, want, text)
			}
		}
	}

	data := filepath.Join(s.dir, "data")
	up := s.start("up", "--data", data, "--listen", "127.0.0.1:0")
	eventually(t, up.errs, "The weather in Bonn is watched.")
	shows("up", up.errs.String(), `"key":"WEATHER_TWON","did_you_mean":"WEATHER_TOWN"`)
	admin := strings.Fields(strings.SplitAfter(up.errs.String(), "http://")[1])[0]
	_, out, _ := s.run(t.Context(), "doctor", "--data", data, "--open-claw", s.dir, "--admin", strings.TrimSuffix(admin, "/readyz"), "--json")
	shows("doctor", out, `"hop": "weather"`, `"subject": "Bonn"`, "it rains", `"subject": "WEATHER"`, `"subject": "weather of ALERTS_suricata"`)
	if strings.Contains(out, "weather/forecast is not ready") {
		t.Errorf("the service's role cannot use its durable:\n%s", out)
	}
	_, out, _ = s.run(t.Context(), "status", "--data", data)
	shows("status", out, "weather", "WEATHER")

	initKeys(t, s)
	accounts, err := os.ReadFile(filepath.Join(s.dir, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	shows("the accounts", string(accounts), `"weather" {`, `$JS.API.CONSUMER.MSG.NEXT.ALERTS_suricata.weather", response: stream, accounts: ["weather"]`, `$JS.API.STREAM.CREATE.WEATHER`)
	seeds := filepath.Join(s.dir, "seeds")
	code, out, errs := s.run(t.Context(), "provision", "--server", serveKeys(t, s).ClientURL(), "--keys", filepath.Join(seeds, "provisioner"))
	if code != exitOK {
		t.Errorf("provision: exit code %d\n%s", code, errs)
	}
	shows("provision", out, fmt.Sprintf("%-8s %-32s created", "stream", "WEATHER"), fmt.Sprintf("%-8s %-32s created", "durable", "weather of ALERTS_suricata"))
	if _, err := os.Stat(filepath.Join(seeds, "weather", "weather.nk")); err != nil {
		t.Error(err)
	}

	var docs bytes.Buffer
	if err := config.Markdown(&docs, settingGroups(s.table)); err != nil {
		t.Fatal(err)
	}
	shows("the documentation", docs.String(), "## Weather", "| `WEATHER_TOWN` | string | `Ulm` | Town of which the weather is watched. |")
}
