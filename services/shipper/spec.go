package shipper

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/shipper/internal/checkup"
	"github.com/openclaw-security/bus/services/shipper/internal/kinds"
)

// Sensors say where the sensors write on this machine, for a process that runs a
// shipper for each.
type Sensors struct {
	Suricata string   `env:"SURICATA_EVE_PATH, default=suricata/logs/eve.json" doc:"Where Suricata writes EVE JSON on this machine: a file, or a pattern for threaded output."`
	Others   []string `env:"SECBUS_SOURCES" doc:"Names of other sources that may publish to the embedded bus, separated by commas. Each gets a key, keys/shipper-NAME.nk in the data directory, for a shipper that runs on its own."`
	Tracee   string   `env:"TRACEE_EVENTS_PATH" doc:"Where Tracee writes its events on this machine. Unset means /var/lib/tracee/events.json, or if nothing is there /tmp/tracee/out/events.json, unless another user of the machine may have written it."`
}

// Checks are the settings of the shippers' own check.
type Checks struct {
	Rules string `env:"DOCTOR_RULES" doc:"File of Suricata's rules, by which secbus doctor tells their age. Unset means by when Suricata loaded them."`
}

// Spec declares the shippers: one for each sensor, and one for each other source
// that may publish.
func Spec() service.Spec {
	spec := service.Spec{
		Name:        "shipper",
		Description: "publish one sensor's log to the bus",
		Settings: []config.Group{
			config.NewGroup("Sensors", "Read by `secbus up`, which runs one shipper for each.", struct {
				Sensors Sensors
				Checks  Checks
			}{}),
			config.NewGroup("Shipper", "Read by `shipper`. `secbus up` sets `SHIPPER_SOURCE` and `SHIPPER_PATH` itself.", Config{}, config.NATS{}),
		},
		Layout:    layout,
		Sources:   sources,
		Publishes: publishes,
		Check: func(ctx context.Context, c service.Checkup) []check.Finding {
			return checkup.Check(ctx, checkup.Options{
				Bus: c.Bus, Expected: service.Expected(sources(c.Deployment)), Services: c.Services,
				RulesFile: config.Lookup(c.Environ, "DOCTOR_RULES"),
			})
		},
	}
	if service.Embeds {
		spec.Embed = embed
	}
	return spec
}

// Validate implements the check that [config.Load] makes.
func (s Sensors) Validate() error {
	for _, source := range s.Others {
		if slices.Contains([]string{bus.RoleProxy, bus.RoleAuditor, bus.RoleNotifier}, proto.Slug(source)) {
			return config.Faultf("SECBUS_SOURCES", "%q is the name of a service, which publishes under it", source)
		}
	}
	return nil
}

func sensors() []string { return []string{SourceSuricata, SourceTracee} }

func sources(d service.Deployment) []service.Source {
	var all []service.Source
	for _, source := range sensors() {
		all = append(all, service.Source{
			Name: source, Part: bus.ShipperRole(source),
			LeftOut: config.Lookup(d.Environ, strings.ToUpper(source)+"_REPLICAS") == "0",
		})
	}
	return all
}

// publishes are the sensors and the other sources, whether they are left out or not: a
// sensor that is to be used again finds its streams and its key.
func publishes(d service.Deployment) ([]proto.SourceName, error) {
	var s Sensors
	if err := config.Load(&s, d.Environ); err != nil {
		return nil, nil // layout reports it
	}
	var names []proto.SourceName
	for _, source := range append(sensors(), s.Others...) {
		names = append(names, proto.SourceName{Name: source, Events: true})
	}
	return names, nil
}

func layout(d service.Deployment) (service.Layout, error) {
	var s Sensors
	if err := config.Load(&s, d.Environ); err != nil {
		return service.Layout{}, err
	}
	var l service.Layout
	for i, source := range append(sensors(), s.Others...) {
		role := bus.Role{
			Name:        bus.ShipperRole(source),
			Description: "Publishes what the sensor " + source + " on " + d.Host + " writes",
			Publish: slices.Concat(
				bus.GrantIngest(d.Host, source, proto.ClassAlert, kinds.Of(source)...),
				bus.GrantIngest(d.Host, source, proto.ClassEvent, kinds.Of(source)...),
				bus.GrantSource(d.Host, source, proto.ClassAlert, proto.ClassEvent),
				bus.GrantHeartbeat(d.Host, source),
			),
		}
		if i >= len(sensors()) {
			// Nobody can know them beforehand, so they share a place.
			role.Holder = "sources"
		}
		l.Roles = append(l.Roles, role)
	}
	return l, nil
}

// embed runs a shipper for each sensor.
func embed(d service.Deployment) (service.Start, error) {
	var s struct {
		Sensors Sensors
		Shipper Config
	}
	if err := config.Load(&s, append(d.Environ[:len(d.Environ):len(d.Environ)], "SHIPPER_SOURCE="+SourceSuricata)); err != nil {
		return nil, err
	}
	return func(_ context.Context, h *service.Host) ([]daemon.Service, error) {
		var tasks []daemon.Service
		paths := map[string]string{SourceSuricata: s.Sensors.Suricata, SourceTracee: s.Sensors.Tracee}
		if s.Sensors.Tracee == "" {
			path, err := defaultPath(defaultPaths[SourceTracee], formerTracee)
			if err != nil {
				h.Note("Not following %v", err)
			}
			paths[SourceTracee] = path
		}
		for _, source := range sensors() {
			path := paths[source]
			cfg := s.Shipper
			cfg.Source, cfg.Path, cfg.Hint = source, path, h.Path(filepath.Join("hints", source+".json"))
			var err error
			if cfg.NATS, err = h.Connect(bus.ShipperRole(source)); err != nil {
				return nil, err
			}
			if found, err := filepath.Glob(path); err == nil && len(found) == 0 {
				if abs, err := filepath.Abs(path); err == nil {
					path = abs
				}
				h.Note("Waiting for %s, which does not exist yet.", path)
			}
			tasks = append(tasks, daemon.Service{
				Name: bus.ShipperRole(source),
				Run:  func(ctx context.Context, rt daemon.Runtime) error { return Run(ctx, cfg, rt) },
			})
		}
		return tasks, nil
	}, nil
}
