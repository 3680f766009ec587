package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
)

// Start prepares a service to run in h: it opens what the service listens on,
// so that an address in use is known before anything starts, and returns the
// tasks that do the work.
type Start func(ctx context.Context, h *Host) ([]daemon.Service, error)

// Host is a process that runs services beside each other. The services are
// started in the order of the table, one after the other.
type Host struct {
	// Data is the directory for what services keep.
	Data string
	// Stdout is where a service prints what is for the user.
	Stdout *os.File
	// Connect returns the settings with which a role connects to the bus.
	Connect func(role string) (config.NATS, error)

	listeners map[string]net.Listener
	notes     []string
}

// Path returns path in the data directory, unless it is absolute.
func (h *Host) Path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(h.Data, path)
}

// Listen opens the address that the named service serves.
func (h *Host) Listen(ctx context.Context, name, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("opening the address of %s: %w", name, err)
	}
	if h.listeners == nil {
		h.listeners = make(map[string]net.Listener)
	}
	h.listeners[name] = l
	return l, nil
}

// Addr returns the host:port that the named service serves, empty if it does not
// run here, or comes later in the table.
func (h *Host) Addr(name string) string {
	l, ok := h.listeners[name]
	if !ok {
		return ""
	}
	return l.Addr().String()
}

// Note adds a line for the user, to be shown once everything runs.
func (h *Host) Note(format string, args ...any) {
	h.notes = append(h.notes, fmt.Sprintf(format, args...))
}

// Notes returns the lines for the user.
func (h *Host) Notes() []string { return h.notes }

// Close closes the listeners; those of services that have run are closed
// already.
func (h *Host) Close() {
	for _, l := range h.listeners {
		_ = l.Close()
	}
}
