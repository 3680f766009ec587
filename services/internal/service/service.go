// Package service defines what a service of the bus declares of itself. What
// runs, provisions, documents and checks services iterates over a table of these
// declarations (package services) and knows nothing else of any of them:
//
//	            ┌─ Settings ─▶ docs/configuration.md, warnings of unknown settings
//	            ├─ Layout ───▶ secbus keys (roles, accounts), secbus provision (durables)
//	Spec ───────┼─ Sources ──▶ secbus status, secbus doctor
//	            ├─ Embed ────▶ secbus up
//	            ├─ Check ────▶ secbus doctor
//	            └─ Name ─────▶ its own program
package service

import (
	"context"
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
)

// Spec is the declaration of one service. Functions that are nil stand for
// nothing: a service without a Layout, for instance, does not use the bus.
type Spec struct {
	// Name is the name of the service and of its program, such as "proxy".
	Name string
	// Description says what it does, in a few words.
	Description string
	// Settings are its sections of docs/configuration.md. Settings that several
	// services share have sections of their own, and are left out here.
	Settings []config.Group
	// Layout returns what the service has on the bus of a deployment.
	Layout func(Deployment) (Layout, error)
	// Sources returns the sources that the service publishes in a deployment and
	// that somebody waits for.
	Sources func(Deployment) []Source
	// Publishes returns the names under which the service publishes alerts, and
	// events. Each has streams of its own.
	Publishes func(Deployment) ([]proto.SourceName, error)
	// Embed reads the settings with which the service runs beside the others in
	// one process. It returns nil if it does not run there by its settings, and a
	// *config.Errors if they are wrong.
	Embed func(Deployment) (Start, error)
	// Check is what only the service can check: how its destinations are set up,
	// whether its own server replies. It sends and changes nothing.
	Check func(context.Context, Checkup) []check.Finding
}

// Checkup is what a service's own check may use.
type Checkup struct {
	Deployment
	// Bus is nil if the bus cannot be asked, which doctor says itself.
	Bus *check.Bus
	// Services are the names of all services of the table.
	Services []string
	// Embedded says that the settings are those of a process that runs all
	// services, on this machine.
	Embedded bool
	// OpenClaw is OpenClaw's directory.
	OpenClaw string
}

// Main runs a service as a program of its own and returns the exit code.
func Main[C any](s Spec, run func(context.Context, C, daemon.Runtime) error, args []string) int {
	return daemon.Program[C]{Name: s.Name, Synopsis: s.Description, Run: run}.Main(args)
}

// Deployment is what identities and durables depend on.
type Deployment struct {
	// Host is the name of this machine on the bus.
	Host string
	// Environ are the settings, less those of a single service's connection.
	Environ []string
	// Streams are all streams of the deployment but those of a Layout, retired ones
	// included. They are known before any Layout is asked for.
	Streams []proto.Stream
}

// AlertStreams returns the names of the streams that hold alerts to be delivered,
// sorted; see [proto.AlertStreams].
func (d Deployment) AlertStreams() []string { return proto.AlertStreams(d.streamNames()) }

// SecurityStreams returns the names of the streams that together hold every alert
// and event once, sorted; see [proto.SecurityStreams].
func (d Deployment) SecurityStreams() []string { return proto.SecurityStreams(d.streamNames()) }

func (d Deployment) streamNames() []string {
	var names []string
	for _, s := range d.Streams {
		names = append(names, s.Name)
	}
	return names
}

// NewDeployment returns the deployment that an environment describes.
func NewDeployment(environ []string) Deployment {
	return Deployment{
		Host: config.HostName(config.Lookup(environ, "OPENCLAW_HOST")),
		// Not those of a service: they are set where a service runs on its own.
		Environ: append(slices.Clone(environ), "NATS_URL=", "NATS_NKEY_SEED=", "NATS_NKEY_SEED_FILE="),
	}
}

// Layout is what a service has on the bus.
type Layout struct {
	// Streams are its own, beside those of package proto and of sources; of all
	// services together, those of sources too.
	Streams []proto.Stream
	// Durables are the durable consumers that it fetches from.
	Durables []proto.Consumer
	// Roles are the identities that it connects as, with their grants.
	Roles []bus.Role
}

// Join returns the layout of all services of a table, with the roles that belong
// to none of them.
func Join(table []Spec, d Deployment) (Layout, error) {
	var all Layout
	own, err := sourceStreams(table, d)
	errs := []error{err}
	all.Streams = own
	d.Streams = slices.Concat(own, proto.Streams(), proto.RetiredStreams())
	for _, spec := range table {
		if spec.Layout == nil {
			continue
		}
		own, err := spec.Layout(d)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all.Streams = append(all.Streams, own.Streams...)
		all.Durables = append(all.Durables, own.Durables...)
		all.Roles = append(all.Roles, own.Roles...)
	}
	if err := config.Join(errs...); err != nil {
		return Layout{}, err
	}
	all.Roles = append(all.Roles, bus.Operators(slices.Concat(all.Streams, proto.Streams(), proto.RetiredStreams()), all.Durables, all.Roles)...)
	return all, nil
}

// sourceStreams returns the streams of the sources of all services of a table.
func sourceStreams(table []Spec, d Deployment) ([]proto.Stream, error) {
	var sources []proto.SourceName
	var errs []error
	for _, spec := range table {
		if spec.Publishes == nil {
			continue
		}
		names, err := spec.Publishes(d)
		sources = append(sources, names...)
		errs = append(errs, err)
	}
	return proto.SourceStreams(sources), config.Join(errs...)
}

// Source is a name that a service publishes under.
type Source struct {
	Name string
	// Part is the name of the part of the service that publishes it.
	Part string
	// LeftOut says that a deployment does without it.
	LeftOut bool
}

// Sources returns the sources of all services of a table.
func Sources(table []Spec, d Deployment) []Source {
	var all []Source
	for _, spec := range table {
		if spec.Sources != nil {
			all = append(all, spec.Sources(d)...)
		}
	}
	return all
}

// Expected returns the names of the sources that are not left out.
func Expected(sources []Source) []string {
	var names []string
	for _, s := range sources {
		if !s.LeftOut {
			names = append(names, s.Name)
		}
	}
	return names
}
