//go:build !container

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/llmtest"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/internal/telegramtest"
	"github.com/openclaw-security/bus/services/secbus/internal/demo"
	"github.com/openclaw-security/bus/suricata"
	"github.com/openclaw-security/bus/tracee"
)

// demoContext is the name of the nats command's context while a demo runs.
const demoContext = cliContext + "-demo"

// How long the last alerts may take to come out after the last line was written.
const demoPatience = 30 * time.Second

type demoCommand struct {
	Stay bool `negatable:"" help:"Keep the bus up afterwards, to look at it (default: on a terminal)."`
	stay *bool
}

// Help is shown by --help.
func (demoCommand) Help() string {
	return "Starts everything on an embedded NATS server in a temporary directory, writes recorded output of Suricata and Tracee into files as the sensors would, and shows the alerts as they are delivered. Needs no sensor, no network and no privileges. ALERT_MIN_SEVERITY (low here), NOTIFIER_FORMAT and LOG_LEVEL are taken from the environment."
}

// AfterApply finds out whether --stay or --no-stay was given at all.
func (c *demoCommand) AfterApply(term terminal) error {
	if c.stay == nil {
		stay := c.Stay || render.IsTerminal(term.stdout)
		c.stay = &stay
	}
	return nil
}

// Run plays the recordings and shows what comes of them.
func (c *demoCommand) Run(ctx context.Context, term terminal) (err error) {
	dir, err := os.MkdirTemp("", "openclaw-demo-")
	if err != nil {
		return fmt.Errorf("creating the demo's directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	d := &demoRun{dir: dir, term: term, stay: *c.stay}
	model, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening an address for the stand-in of the model: %w", err)
	}
	chat, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening an address for the stand-in of Telegram: %w", err)
	}
	telegram := telegramtest.New(telegramtest.Config{Show: &d.chat})
	environ := append(demoEnviron(term.environ),
		"LLM_API_BASE=http://"+model.Addr().String(),
		"TELEGRAM_API=http://"+chat.Addr().String(),
		"SURICATA_EVE_PATH="+d.path("suricata"),
		"TRACEE_EVENTS_PATH="+d.path("tracee"))
	settings, err := loadUp(environ)
	if err != nil {
		return err
	}
	settings.Notifier.Out = term.stdout
	s := stack{
		data:     filepath.Join(dir, "data"),
		listen:   "127.0.0.1:0",
		settings: settings,
		context:  demoContext,
		log:      daemon.Logger(term.stderr, settings.Log),
	}
	ctx, d.stop = context.WithCancel(ctx)
	defer d.stop()
	return s.run(ctx, d.started,
		daemon.Service{Name: "model", Run: func(ctx context.Context, _ daemon.Runtime) error {
			return llmtest.New(llmtest.Config{Unrecorded: true}).Serve(ctx, model)
		}},
		daemon.Service{Name: "telegram", Run: func(ctx context.Context, _ daemon.Runtime) error {
			return telegram.Serve(ctx, chat)
		}},
		daemon.Service{Name: "demo", Run: d.play})
}

// demoEnviron is the part of the environment that a demo takes over, after what
// it sets itself.
func demoEnviron(environ []string) []string {
	taken := []string{
		"OPENCLAW_HOST=demo", "ADMIN_ADDR=127.0.0.1:0",
		"PROXY_ADDR=127.0.0.1:0", "PROXY_DETECTIONS=dangerous-command=enforce", "LLM_API_KEY=" + llmtest.Key,
		"GUARD_ENABLED=true", "GUARD_STUB_ADDR=127.0.0.1:0",
		"TELEGRAM_BOT_TOKEN=" + telegramtest.Token, fmt.Sprintf("TELEGRAM_CHAT_ID=%d", telegramtest.PrivateID),
		"ALERT_MAX_PER_MINUTE=60", "NOTIFIER_STDOUT=always", "DAILY_REPORT_HOUR=",
		"ALERT_MIN_SEVERITY=low", "LOG_LEVEL=warn",
	}
	for _, entry := range environ {
		switch key, _, _ := strings.Cut(entry, "="); key {
		case "ALERT_MIN_SEVERITY", "NOTIFIER_FORMAT", "LOG_LEVEL", "LOG_FORMAT":
			taken = append(taken, entry)
		}
	}
	return taken
}

// demoRun is one demo at work.
type demoRun struct {
	dir  string
	term terminal
	stay bool
	up   running
	stop context.CancelFunc
	chat chatScreen

	requests []proto.Audit // of the agent, that have ended
}

// path is the file that a sensor would write.
func (d *demoRun) path(sensor string) string {
	return filepath.Join(d.dir, sensor+".json")
}

func (d *demoRun) say(format string, args ...any) {
	fmt.Fprintf(d.term.stdout, format+"\n", args...)
}

func (d *demoRun) started(up running) {
	d.up = up
	d.say("The bus is up on %s. An agent in a container is attacked now: recorded output of", up.url)
	d.say("Suricata and Tracee is written to %s/*.json, line by line, as the", d.dir)
	d.say("sensors would; shippers follow the files. These are the alerts:\n")
}

// play writes the recordings, waits until all of it has come out at the other
// end, and sums up.
func (d *demoRun) play(ctx context.Context, _ daemon.Runtime) error {
	if !d.stay {
		defer d.stop()
	}
	if d.up.context != "" {
		defer os.Remove(d.up.context)
	}
	recordings := []demo.Recording{
		{Path: d.path("suricata"), Lines: suricata.Recording(), Pace: demo.Pace{Most: 300 * time.Millisecond}},
		{Path: d.path("tracee"), Lines: tracee.Recording(), Pace: demo.Pace{Least: 60 * time.Millisecond, Most: 300 * time.Millisecond}},
	}
	written := make([]int, len(recordings))
	group, playing := errgroup.WithContext(ctx)
	for i, r := range recordings {
		group.Go(func() (err error) {
			written[i], err = r.Play(playing)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	total := written[0] + written[1]
	if err := d.sumUp(ctx, conn, total); err != nil {
		return err
	}
	if err := d.converse(ctx, conn, total); err != nil {
		return err
	}
	d.say("\nAnd this is what came to your phone, by way of a stand-in for Telegram:\n")
	d.say("%s", d.chat.text())
	if err := d.audited(ctx); err != nil {
		return err
	}
	d.suggest()
	if d.stay {
		d.say("\nThe bus stays up until you press Ctrl-C.")
		<-ctx.Done()
	} else {
		d.say("\nThis demo ends here, its output being no terminal; with --stay the bus stays up.")
	}
	return nil
}

// connect connects as the operator.
func (d *demoRun) connect(ctx context.Context) (*bus.Conn, error) {
	key, err := natsconf.LoadSeed(filepath.Join(keysDir(filepath.Join(d.dir, "data")), bus.RoleOperator+".nk"))
	if err != nil {
		return nil, fmt.Errorf("loading the operator's key: %w", err)
	}
	return bus.Connect(ctx, bus.Options{URL: d.up.url, Role: bus.RoleOperator, Key: key})
}

// sumUp waits until everything is delivered and counts it on the bus itself.
func (d *demoRun) sumUp(ctx context.Context, conn *bus.Conn, written int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, fmt.Errorf("not everything came out within %s", demoPatience))
	defer cancel()
	counts, err := waitForAll(ctx, conn, written)
	if err != nil {
		return fmt.Errorf("waiting for the last alert: %w", err)
	}
	d.say("\n%d lines written by the sensors, %d events stored once each: %d alerts, %d telemetry.",
		written, counts.stored, counts.alerts, counts.stored-counts.alerts)
	for _, severity := range []proto.Severity{proto.SeverityCritical, proto.SeverityHigh, proto.SeverityMedium, proto.SeverityLow} {
		d.say("  %-8s  suricata %3d   tracee %3d", severity, counts.by["suricata"][severity], counts.by["tracee"][severity])
	}
	return nil
}

// demoCounts are what the bus holds.
type demoCounts struct {
	stored, alerts int
	by             map[string]map[proto.Severity]int
}

// waitForAll waits until the bus holds as many events as are expected, every
// alert of them is in the alerts' own stream, and all are acknowledged.
func waitForAll(ctx context.Context, conn *bus.Conn, expected int) (*demoCounts, error) {
	for {
		counts, err := countStored(ctx, conn)
		if err != nil {
			return nil, err
		}
		done, err := delivered(ctx, conn, counts.alerts)
		if err != nil {
			return nil, err
		}
		if done && counts.stored == expected {
			return counts, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// delivered reports whether there are so many alerts and no consumer has
// anything left to do.
func delivered(ctx context.Context, conn *bus.Conn, alerts int) (bool, error) {
	o, err := conn.Overview(ctx)
	if err != nil {
		return false, err
	}
	for _, d := range o.Durables {
		if d.Progress.Pending > 0 || d.Progress.Unacked > 0 {
			return false, nil
		}
	}
	for _, s := range o.Streams {
		if s.Name == proto.StreamAlerts && s.Messages != uint64(alerts) {
			return false, nil
		}
	}
	return true, nil
}

func countStored(ctx context.Context, conn *bus.Conn) (*demoCounts, error) {
	counts := &demoCounts{by: make(map[string]map[proto.Severity]int)}
	for m, err := range conn.History(ctx, proto.StreamSecurity, everything, bus.Start{}) {
		if err != nil {
			return nil, err
		}
		subject, err := proto.ParseSubject(m.Subject)
		if err != nil {
			return nil, err
		}
		if subject.Source == bus.RoleAuditor {
			continue // what the bus says of itself
		}
		counts.stored++
		if subject.Class == proto.ClassAlert {
			counts.alerts++
		}
		if counts.by[subject.Source] == nil {
			counts.by[subject.Source] = make(map[proto.Severity]int)
		}
		counts.by[subject.Source][subject.Severity]++
	}
	return counts, nil
}

// suggest says what to try next.
func (d *demoRun) suggest() {
	self := os.Args[0]
	data := filepath.Join(d.dir, "data")
	d.say("\nTry next, from another terminal:")
	d.say("  %s tail --since 1h --severity high --data %s", self, data)
	d.say("  %s replay --since 1h --data %s", self, data)
	d.say("  %s status --data %s", self, data)
	d.say("  %s audit verify --data %s", self, data)
	d.say("  nats --context %s sub 'security.>'", demoContext)
	d.say("Then on this machine's own sensors: make run")
}

// chatScreen keeps what the stand-in for Telegram shows.
type chatScreen struct {
	mu    sync.Mutex
	shown strings.Builder
}

// Write implements [io.Writer].
func (c *chatScreen) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown.Write(p)
}

func (c *chatScreen) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown.String()
}
