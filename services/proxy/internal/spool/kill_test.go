package spool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

// childTask is what a process does that appends records, and drains them, until
// it is killed.
type childTask struct{ Dir, Run, URL, Seed string }

const childRole = "spool"

func TestMain(m *testing.M) {
	childproc.Main(childproc.Roles{childRole: childproc.Func(child)})
	os.Exit(m.Run())
}

// child appends audits and alerts without end, and says which once Append has
// returned. It returns only an error.
func child(context.Context) error {
	var task childTask
	if err := childproc.Task(&task); err != nil {
		return err
	}
	s, err := tryOpen(task.Dir)
	if err != nil {
		return err
	}
	key, err := nkeys.FromSeed([]byte(task.Seed))
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	go func() {
		ctx := context.Background()
		conn, err := bus.Connect(ctx, bus.Options{URL: task.URL, Role: bus.RoleProxy, Key: key})
		if err == nil {
			err = s.Run(ctx, conn)
		}
		failed <- err
	}()
	for stream, add := range map[string]func(id string) error{
		proto.StreamAudit:          func(id string) error { return s.AppendAudit(request(id)) },
		proto.AlertsStream(Source): func(id string) error { return s.AppendAlert(alert(id)) },
	} {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d", task.Run, i)
				if err := add(id); err != nil {
					failed <- err
					return
				}
				// One write: a kill may cut it off, and the line then does not count.
				if _, err := os.Stdout.WriteString(stream + " " + id + "\n"); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// runAndKill runs the child, kills it once it has said that it has appended n
// records, and returns all that it said it had, by stream.
func runAndKill(t *testing.T, b *bustest.Bus, dir, run string, n int) map[string][]string {
	t.Helper()
	appended := make(map[string][]string)
	said, enough := 0, make(chan struct{})
	p := childproc.Process{Role: childRole, Task: childTask{dir, run, b.URL(), b.Seed(t, bus.RoleProxy)}, Stdout: func(line string) {
		stream, id, _ := strings.Cut(line, " ")
		appended[stream] = append(appended[stream], id)
		if said++; said == n {
			close(enough)
		}
	}}
	p.Run(t)
	select {
	case <-enough:
	case <-p.Ended():
	}
	if err := p.Kill(); err != nil || p.Log.String() != "" {
		t.Fatalf("the child ended with %v: %s", err, p.Log)
	}
	return appended
}

// TestKilledProcessLosesAndDoublesNothing kills a process with SIGKILL at random
// moments while it appends and drains, and compares the streams with what it said
// it had appended.
func TestKilledProcessLosesAndDoublesNothing(t *testing.T) {
	const kills = 8
	seed := testenv.Seed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	b := bustest.Start(t)
	dir := t.TempDir()
	appended := make(map[string][]string)
	for run := range kills {
		if random.IntN(3) == 0 {
			b.Stop(t) // all that this process appends waits for the next
		}
		for stream, ids := range runAndKill(t, b, dir, fmt.Sprint(run), 1+random.IntN(1500)) {
			appended[stream] = append(appended[stream], ids...)
		}
		b.Restart(t)
	}
	last := run(t, openSpool(t, dir), b.Conn(t, bus.RoleProxy))
	bustest.Eventually(t, "all is stored", last.drained)
	last.close(t)

	for _, stream := range []string{proto.StreamAudit, proto.AlertsStream(Source)} {
		got := storedIDs(t, b, stream)
		unsaid := 0
		want := appended[stream]
		for i, id := range got {
			switch {
			case len(want) > 0 && want[0] == id:
				want = want[1:]
			case slices.Contains(got[:i], id):
				t.Errorf("%s: record %s is there twice", stream, id)
			default:
				unsaid++ // killed after Append and before it could say so
			}
		}
		if len(want) > 0 {
			t.Errorf("%s: %d records are lost or out of order, the first is %s", stream, len(want), want[0])
		}
		if unsaid > kills {
			t.Errorf("%s: %d records that nobody said were appended, in %d runs", stream, unsaid, kills)
		}
		t.Logf("%s: %d records", stream, len(got))
	}
}
