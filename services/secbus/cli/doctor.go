package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/secbus/internal/doctor"
)

type doctorCommand struct {
	targetFlags
	Admin    []string `env:"DOCTOR_ADMIN" placeholder:"[NAME=]ADDR" help:"Service that serves /readyz, as host:port; may be repeated. The embedded bus is asked at ADMIN_ADDR."`
	Disk     []string `env:"DOCTOR_DISKS" placeholder:"DIR" help:"Directory whose file system must have room, the streams' first; may be repeated. For the embedded bus it is the data directory."`
	OpenClaw string   `default:"${default_openclaw}" placeholder:"DIR" help:"OpenClaw's directory, where its bot's token is looked for (${default})."`
	JSON     bool     `help:"Print as JSON."`
}

// Help is shown by --help.
func (doctorCommand) Help() string {
	return "Follows the way of an alert from the sensors to the chat, says how each hop stands, what is wrong and what to do. It changes nothing and sends no message: `secbus notify test` sends one the whole way. Exits with 3 if something does not work; warnings alone do not count."
}

// Run looks at everything that an alert passes.
func (c *doctorCommand) Run(ctx context.Context, term Terminal, table []service.Spec) error {
	options, err := c.options(term, table)
	if err != nil {
		return err
	}
	var found []check.Finding
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		found = append(found, check.Finding{Hop: "server", Subject: "NATS", State: check.Fault, Text: err.Error()})
	} else {
		defer conn.Close()
		options.Conn = conn
	}
	found = append(found, doctor.Check(ctx, options)...)
	if c.JSON {
		err = printJSON(term.Stdout, found)
	} else {
		err = printFindings(term.Stdout, found)
	}
	if err != nil {
		return fmt.Errorf("writing the findings: %w", err)
	}
	if slices.ContainsFunc(found, func(f check.Finding) bool { return f.State == check.Fault }) {
		return errMissing
	}
	return nil
}

func printFindings(w io.Writer, found []check.Finding) error {
	t := render.NewTable(w)
	for _, f := range found {
		t.Row(f.State, f.Hop, f.Subject, f.Text)
	}
	return t.End()
}

// options say what to look at: what the flags name, and where the embedded bus
// is asked, what `secbus up` reads from the same environment.
func (c *doctorCommand) options(term Terminal, table []service.Spec) (doctor.Options, error) {
	d := service.NewDeployment(term.Environ)
	layout, err := service.Join(table, d)
	if err != nil {
		return doctor.Options{}, err
	}
	o := doctor.Options{
		Services: table, Streams: layout.Streams, Durables: layout.Durables, Disks: c.Disk,
		Checkup: service.Checkup{Deployment: d, Embedded: c.Server == "", OpenClaw: c.OpenClaw},
	}
	if c.Server == "" {
		admin, err := embeddedAdmin(table, d)
		if err != nil {
			return doctor.Options{}, err
		}
		data, err := c.dir()
		if err != nil {
			return doctor.Options{}, err
		}
		o.Disks = append([]string{data}, o.Disks...)
		if at := check.Assume("secbus up", admin.Addr); at != nil {
			o.Ready = append(o.Ready, *at)
		}
	}
	if len(c.Admin) > 0 {
		o.Ready = nil
	}
	for _, word := range c.Admin {
		at, err := check.ParseEndpoint("--admin", word)
		if err != nil {
			return doctor.Options{}, err
		}
		o.Ready = append(o.Ready, at)
	}
	sources := service.Sources(table, d)
	o.Ready = slices.DeleteFunc(o.Ready, func(e check.Endpoint) bool {
		return slices.ContainsFunc(sources, func(s service.Source) bool { return s.LeftOut && strings.Contains(e.Name, s.Part) })
	})
	return o, nil
}

// embeddedAdmin reads the settings of `secbus up`, so that their faults show, and
// returns where it serves its readiness.
func embeddedAdmin(table []service.Spec, d service.Deployment) (config.Admin, error) {
	var admin config.Admin
	errs := []error{config.Load(&admin, d.Environ)}
	for _, spec := range table {
		if spec.Embed != nil {
			_, err := spec.Embed(d)
			errs = append(errs, err)
		}
	}
	return admin, config.Join(errs...)
}

// defaultOpenClaw is where OpenClaw keeps its configuration.
func defaultOpenClaw() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ".openclaw"
	}
	return filepath.Join(home, ".openclaw")
}
