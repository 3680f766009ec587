package bus_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
)

// asServer in the environment makes the test binary a NATS server that can be
// killed: "<directory> <address>". It says its URL, and ends when its standard
// input does.
const asServer = "TEST_RUN_AS_NATS"

func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(asServer)); len(args) == 2 {
		if err := serve(args[0], args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func killableRoles() []bus.Role { return bus.Roles(bustest.Host, []string{bustest.Tracee}) }

func killableKeys(dir string) (*natsconf.Identities, error) {
	var names []string
	for _, r := range killableRoles() {
		names = append(names, r.Name)
	}
	return natsconf.LoadOrCreate(filepath.Join(dir, "keys"), names)
}

func serve(dir, listen string) error {
	ids, err := killableKeys(dir)
	if err != nil {
		return err
	}
	s, err := natsd.Start(natsd.Config{Dir: filepath.Join(dir, "nats"), Listen: listen, Roles: killableRoles(), PublicKeys: ids.PublicKeys()})
	if err != nil {
		return err
	}
	fmt.Println(s.URL())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// killable is a server process.
type killable struct {
	t   *testing.T
	dir string
	url string
	cmd *exec.Cmd
}

func (k *killable) start() {
	k.t.Helper()
	listen := "127.0.0.1:0"
	if k.url != "" {
		listen = strings.TrimPrefix(k.url, "nats://")
	}
	k.cmd = exec.Command(os.Args[0])
	k.cmd.Env = append(os.Environ(), asServer+"="+k.dir+" "+listen)
	k.cmd.Stderr = os.Stderr
	if _, err := k.cmd.StdinPipe(); err != nil { // closed when this process ends
		k.t.Fatal(err)
	}
	stdout, err := k.cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		k.t.Fatalf("the server says nothing: %v", err)
	}
	k.url = strings.TrimSpace(line)
}

func (k *killable) kill() {
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait() // killed, which is what was wanted
}

func (k *killable) connect(role string) *bus.Conn {
	k.t.Helper()
	ids, err := killableKeys(k.dir)
	if err != nil {
		k.t.Fatal(err)
	}
	key, err := natsconf.LoadSeed(ids.SeedFile(role))
	if err != nil {
		k.t.Fatal(err)
	}
	c, err := bus.Connect(deadlineContext(k.t), bus.Options{URL: k.url, Role: role, Key: key})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = c.Close() }) // the server may be gone
	return c
}

// storedAlerts reads a stream's alerts.
func storedAlerts(t *testing.T, c *bus.Conn, stream string) (ids []string, sequences []uint64) {
	t.Helper()
	for m, err := range c.History(deadlineContext(t), stream, proto.StoredPrefix+"."+string(proto.ClassAlert)+".>", bus.Start{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.Header.Get(proto.HeaderEventID))
		sequences = append(sequences, m.Sequence)
	}
	return ids, sequences
}

// publishAll publishes msgs, named 0 and so on, each once, until all are stored or
// ctx is done.
func publishAll(ctx context.Context, f *bus.Fence, msgs []*nats.Msg, stored *atomic.Int64) {
	for known := false; int(stored.Load()) < len(msgs) && ctx.Err() == nil; {
		at := int(stored.Load())
		if !known {
			last, err := f.Last(ctx)
			if err != nil {
				continue // each attempt takes its time
			}
			if at, known = 0, true; last != nil {
				n, _ := strconv.Atoi(last.Header.Get(proto.HeaderEventID))
				at = n + 1
			}
			stored.Store(int64(at))
			continue
		}
		n := min(100, len(msgs)-at)
		if known = f.Publish(ctx, msgs[at:at+n]) == nil; known {
			stored.Add(int64(n))
		}
	}
}

// A server that is killed while it copies alerts goes on with the copies where it
// was: each alert is copied once, in order. A durable gets every copy, and what
// it gets twice has the same id under the same sequence, so that it can be told.
func TestKilledServerCopiesEveryAlertOnce(t *testing.T) {
	const alertCount, kills = 4000, 4
	k := &killable{t: t, dir: t.TempDir()}
	k.start()
	t.Cleanup(func() { k.kill() })
	// What is under way when the server is killed comes again soon.
	durable := proto.SinkConsumer("stdout")
	durable.AckWait = time.Second
	for _, plan := range []bus.Plan{{}, {Consumers: []proto.Consumer{durable}}} {
		if _, err := k.connect(bus.RoleProvisioner).Provision(deadlineContext(t), plan); err != nil {
			t.Fatal(err)
		}
	}
	msgs := make([]*nats.Msg, alertCount)
	for i := range msgs {
		msgs[i] = message(bustest.Tracee, proto.SeverityHigh, strconv.Itoa(i))
	}
	fence := newFence(k.connect(bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
	consumer := bindOn(t, k.connect(notifier))
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	t.Cleanup(working.Wait)
	t.Cleanup(cancel)

	var stored atomic.Int64
	working.Go(func() { publishAll(ctx, fence, msgs, &stored) })
	delivered := make(map[string][]uint64)
	var distinct atomic.Int64
	working.Go(func() {
		for distinct.Load() < alertCount {
			fetched, err := consumer.Fetch(ctx, 200)
			if err != nil {
				return
			}
			for _, m := range fetched {
				id := m.Header.Get(proto.HeaderEventID)
				delivered[id] = append(delivered[id], m.Sequence)
				_ = m.Ack() // it comes again if that is lost
			}
			distinct.Store(int64(len(delivered)))
		}
	})
	for i := range kills {
		share := int64(alertCount * (i + 1) / (kills + 1))
		bustest.Eventually(t, "alerts are stored", func() bool { return stored.Load() >= share })
		<-time.After(rand.N(30 * time.Millisecond)) // the random moment
		k.kill()
		k.start()
	}
	bustest.Eventually(t, "every alert is delivered", func() bool { return distinct.Load() == alertCount })
	working.Wait()

	operator := k.connect(bus.RoleOperator)
	origin, _ := storedAlerts(t, operator, proto.StreamSecurity)
	copies, sequences := storedAlerts(t, operator, proto.StreamAlerts)
	if len(origin) != alertCount || !slices.Equal(origin, copies) {
		t.Errorf("%d alerts, %d copies, which differ", len(origin), len(copies))
	}
	again := 0
	for i, id := range copies {
		if sequences[i] != uint64(i+1) {
			t.Fatalf("copy %d has sequence %d", i+1, sequences[i])
		}
		again += len(delivered[id]) - 1
		if slices.ContainsFunc(delivered[id], func(s uint64) bool { return s != sequences[i] }) {
			t.Errorf("alert %s has sequence %d and was delivered as %v", id, sequences[i], delivered[id])
		}
	}
	t.Logf("%d alerts, %d kills, %d deliveries again", alertCount, kills, again)
}
