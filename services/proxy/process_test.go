package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/llmtest"
)

const proxyRole = "proxy" // of the test binary, in a process that can be killed

func TestMain(m *testing.M) {
	childproc.Main(childproc.Roles{
		proxyRole:          func() int { return daemon.Program[Config]{Name: "proxy", Run: runInherited}.Main(nil) },
		bustest.ServerRole: bustest.Serve,
	})
	os.Exit(m.Run())
}

// runInherited serves a socket that outlives the process: clients that come
// while there is none wait for the next.
func runInherited(ctx context.Context, cfg Config, rt daemon.Runtime) error {
	l, err := net.FileListener(os.NewFile(childproc.FirstFile, "listener"))
	if err != nil {
		return err
	}
	cfg.Listener = l
	return Run(ctx, cfg, rt)
}

// system is a proxy, a NATS server and what they need.
type system struct {
	t        *testing.T
	dir      string
	url      string // of the proxy
	upstream string // URL of the provider
	nats     *bustest.Server
	proxy    *childproc.Process

	mu      sync.Mutex
	arrived map[int]int // at the provider: how often, by the request's number
}

// requestNumber finds the number that a request carries in its text.
var requestNumber = regexp.MustCompile(`load-(\d+) `)

func startSystem(t *testing.T) *system {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), nats: bustest.RunServer(t), arrived: make(map[int]int)}
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

	if err := s.nats.Provision(t.Context(), bus.ProvisionConfig{}); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	s.url = "http://" + listener.Addr().String()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	s.proxy = &childproc.Process{Role: proxyRole, Files: []*os.File{socket}, Env: append(s.nats.Environ(bus.RoleProxy),
		"ADMIN_ADDR=", "LOG_LEVEL=error",
		"LLM_API_BASE="+s.upstream, "LLM_API_KEY="+llmtest.Key,
		"LLM_OPENAI_API_BASE="+s.upstream, "LLM_OPENAI_API_KEY="+llmtest.Key,
		"LLM_GEMINI_API_BASE="+s.upstream, "LLM_GEMINI_API_KEY="+llmtest.Key,
		"PROXY_AUDIT_DIR="+filepath.Join(s.dir, "audit"),
		"PROXY_CANARIES="+canary,
		"PROXY_DETECTIONS=runaway-loop=off", // the load is one
	)}
	s.proxy.Run(t)
	return s
}

func (s *system) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
	}
}

func (s *system) arrivals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.arrived)
}
