package audit

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
)

// asProxy in the environment makes the test binary a process that appends
// records, and drains them, until it is killed: "<directory> <run> <NATS URL>".
const asProxy = "TEST_RUN_AS_PROXY"

// asProxySeed holds its key.
const asProxySeed = "TEST_RUN_AS_PROXY_SEED"

func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(asProxy)); len(args) == 3 {
		fmt.Fprintln(os.Stderr, child(args[0], args[1], args[2]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child appends audits and alerts without end, and says which once Append has
// returned. It returns only an error.
func child(dir, run, url string) error {
	l, err := tryOpen(dir)
	if err != nil {
		return err
	}
	key, err := nkeys.FromSeed([]byte(os.Getenv(asProxySeed)))
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	go func() {
		ctx := context.Background()
		conn, err := bus.Connect(ctx, bus.Options{URL: url, Role: bus.RoleProxy, Key: key})
		if err == nil {
			err = l.Run(ctx, conn)
		}
		failed <- err
	}()
	for stream, add := range map[string]func(id string) error{
		proto.StreamAudit:    func(id string) error { return l.AppendAudit(request(id)) },
		proto.StreamSecurity: func(id string) error { return l.AppendAlert(alert(id)) },
	} {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d", run, i)
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
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asProxy+"="+dir+" "+run+" "+b.URL(), asProxySeed+"="+b.Seed(t, bus.RoleProxy))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	appended := make(map[string][]string)
	lines := bufio.NewReader(out)
	for seen := 1; ; seen++ {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		stream, id, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		appended[stream] = append(appended[stream], id)
		if seen == n {
			if err := cmd.Process.Kill(); err != nil { // SIGKILL
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || stderr.Len() > 0 {
		t.Fatalf("the child ended with %v: %s", err, stderr.String())
	}
	return appended
}

// TestKilledProcessLosesAndDoublesNothing kills a process with SIGKILL at random
// moments while it appends and drains, and compares the streams with what it said
// it had appended.
func TestKilledProcessLosesAndDoublesNothing(t *testing.T) {
	const kills = 8
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
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
	last := run(t, openLog(t, dir), b.Conn(t, bus.RoleProxy))
	bustest.Eventually(t, "all is stored", last.drained)
	last.close(t)

	for _, stream := range []string{proto.StreamAudit, proto.StreamSecurity} {
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
