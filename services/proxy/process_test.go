package proxy

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/llmtest"
	"github.com/openclaw-security/bus/services/internal/natsconf"
)

var kills = flag.Int("kills", 8, "how often TestKilledProcessesLoseNoRecord kills the proxy or NATS")

// These in the environment make the test binary a process that can be killed.
// Each ends by itself when its standard input does, so that none outlives a
// test that is broken off.
const (
	asProxy = "TEST_RUN_AS_PROXY" // a proxy, on the listener that it inherits
	asNATS  = "TEST_RUN_AS_NATS"  // a NATS server: "<directory> <address>"; it says its URL
)

func TestMain(m *testing.M) {
	if os.Getenv(asProxy) != "" {
		os.Exit(daemon.Program[Config]{Name: "proxy", Run: runInherited}.Main(nil))
	}
	if args := strings.Fields(os.Getenv(asNATS)); len(args) == 2 {
		if err := bustest.ServeNATS(args[0], args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// inheritedListener is the first of [exec.Cmd]'s ExtraFiles.
const inheritedListener = 3

// runInherited serves a socket that outlives the process: clients that come
// while there is none wait for the next.
func runInherited(ctx context.Context, cfg Config, rt daemon.Runtime) error {
	l, err := net.FileListener(os.NewFile(inheritedListener, "listener"))
	if err != nil {
		return err
	}
	cfg.Listener = l
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return Run(ctx, cfg, rt)
}

// system is a proxy, a NATS server and what they need.
type system struct {
	t        *testing.T
	dir      string
	natsURL  string
	socket   *os.File
	url      string // of the proxy
	upstream string // URL of the provider
	nats     *bustest.Process
	proxy    *bustest.Process

	mu      sync.Mutex
	arrived map[int]int // at the provider: how often, by the request's number
}

// requestNumber finds the number that a request carries in its text.
var requestNumber = regexp.MustCompile(`load-(\d+) `)

func startSystem(t *testing.T) *system {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), arrived: make(map[int]int)}
	provider := llmtest.New(llmtest.Config{Unrecorded: true})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the proxy has been killed while it sent
		}
		var n int
		if m := requestNumber.FindSubmatch(body); m != nil {
			fmt.Sscan(string(m[1]), &n)
		}
		s.mu.Lock()
		s.arrived[n]++
		s.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		provider.ServeHTTP(w, r)
	}))
	t.Cleanup(upstream.Close)
	s.upstream = upstream.URL

	s.nats = bustest.Begin(t, &s.natsURL, nil, asNATS+"="+s.dir+" 127.0.0.1:0")
	if _, err := s.connect(bus.RoleProvisioner).Provision(t.Context(), bus.Plan{}); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	s.url = "http://" + listener.Addr().String()
	if s.socket, err = listener.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.socket.Close() })
	s.startProxy()
	return s
}

func (s *system) startProxy() {
	s.t.Helper()
	ids, err := bustest.Identities(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	s.proxy = bustest.Begin(s.t, nil, []*os.File{s.socket},
		asProxy+"=1", "ADMIN_ADDR=", "LOG_LEVEL=error",
		"LLM_API_BASE="+s.upstream, "LLM_API_KEY="+llmtest.Key,
		"LLM_OPENAI_API_BASE="+s.upstream, "LLM_OPENAI_API_KEY="+llmtest.Key,
		"LLM_GEMINI_API_BASE="+s.upstream, "LLM_GEMINI_API_KEY="+llmtest.Key,
		"OPENCLAW_HOST="+bustest.Host, "NATS_URL="+s.natsURL,
		"NATS_NKEY_SEED_FILE="+ids.SeedFile(bus.RoleProxy),
		"PROXY_AUDIT_DIR="+filepath.Join(s.dir, "audit"),
		"PROXY_CANARIES="+canary,
		"PROXY_DETECTIONS=runaway-loop=off", // the load is one
	)
}

func (s *system) startNATS() {
	s.t.Helper()
	s.nats = bustest.Begin(s.t, &s.natsURL, nil, asNATS+"="+s.dir+" "+strings.TrimPrefix(s.natsURL, "nats://"))
}

func (s *system) connect(role string) *bus.Conn {
	s.t.Helper()
	ids, err := bustest.Identities(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := natsconf.LoadSeed(ids.SeedFile(role))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	c, err := bus.Connect(ctx, bus.Options{URL: s.natsURL, Role: role, Key: key})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *system) arrivals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.arrived)
}
