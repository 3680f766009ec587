package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/limit"
	"github.com/openclaw-security/bus/services/proxy/internal/policy"
	"github.com/openclaw-security/bus/services/proxy/internal/spool"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// tight has bodies of 1 MiB at most, and hardly more memory than one of them takes.
func tight(c *Config) {
	c.MaxBody = 1 << 20
	c.Memory = neededMemory(c.MaxBody)/3*4 + 4
}

// announce opens a connection and sends text.
func (r *rig) announce(text string) net.Conn {
	r.t.Helper()
	conn, err := new(net.Dialer).DialContext(r.t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

const head = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

// Bodies that are announced, or have begun, take no more than has come of them: others
// are served beside as many as there would never be memory for.
func TestSilentBodiesStallNobody(t *testing.T) {
	for name, text := range map[string]string{
		"announced":          head + "Content-Length: 1048576\r\n\r\n",
		"announced, begun":   head + "Content-Length: 1048576\r\n\r\n{\"model\":",
		"chunked":            head + "Transfer-Encoding: chunked\r\n\r\n",
		"compressed":         head + "Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n",
		"a header cut short": head,
	} {
		t.Run(name, func(t *testing.T) {
			r := newSolo(t, nil, func(c *Config) {
				tight(c)
				c.MemoryWait = time.Hour // those that wait, wait for good
			})
			for range 64 {
				r.announce(text)
			}
			if strings.Contains(text, "\r\n\r\n") && name != "compressed" {
				bustest.Eventually(t, "all are being read", func() bool { return testutil.ToFloat64(r.proxy.metrics.inFlight) == 64 })
			}
			if got := r.post("/v1/messages", message(false, "hi")); got.status != http.StatusOK {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

// A body's memory is free again when the body has been sent, long before the answer
// has ended.
func TestSentBodiesTakeNothing(t *testing.T) {
	arrived, finish := make(chan struct{}), make(chan struct{})
	r := newSolo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		select {
		case <-finish:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, `{}`)
	}), func(c *Config) {
		tight(c)
		c.MemoryWait = time.Hour
	})
	big := message(false, strings.Repeat("words ", 100_000))
	const requests = 100
	statuses := make(chan int, requests)
	for range requests {
		go func() { statuses <- r.post("/v1/messages", big).status }()
	}
	for range requests {
		<-arrived
	}
	bustest.Eventually(t, "the bodies take nothing while their answers are awaited", func() bool {
		used, waiting := r.proxy.memory.Used()
		return used == requests*exchangeWeight && waiting == 0
	})
	close(finish)
	for range requests {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	bustest.Eventually(t, "all memory is free", func() bool {
		used, _ := r.proxy.memory.Used()
		return used == 0
	})
}

// fill takes what another client may have of the memory, and a third the rest.
func (r *rig) fill() {
	r.t.Helper()
	for i, n := range []int64{r.cfg.clientMemory(), r.cfg.Memory - r.cfg.clientMemory()} {
		lease := r.proxy.memory.Lease(fmt.Sprint("client ", i))
		r.t.Cleanup(lease.Close)
		if err := lease.TakeLast(context.WithoutCancel(r.t.Context()), n); err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestNoMemoryIsSaid(t *testing.T) {
	r := newSolo(t, nil, func(c *Config) {
		tight(c)
		c.MemoryWait = time.Millisecond
	})
	r.fill()
	for range 3 {
		got := r.post("/v1/messages", message(false, "hi"))
		if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "PROXY_MEMORY") || got.header.Get("Retry-After") == "" {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
	}
	if a := r.final(); a.Decision != proto.DecisionRefused || a.Status != http.StatusServiceUnavailable || a.Severity != proto.SeverityMedium || !strings.Contains(a.Reason, "memory") {
		t.Errorf("record %+v", a)
	}
	if n := testutil.ToFloat64(r.proxy.metrics.busy.WithLabelValues("request")); n != 3 {
		t.Errorf("counted %v", n)
	}
	m := r.proxy.records.spool.(*memory)
	if len(m.alerts) != 1 || m.alerts[0].Rule.ID != policy.RuleBusy || m.alerts[0].Severity != proto.SeverityMedium {
		t.Errorf("alerts %+v", m.alerts)
	}
}

// Answers that would be held take no more than there is: those that are too much are
// refused in the provider's form, and small ones pass.
func TestHeldAnswersAreBounded(t *testing.T) {
	const parts = 64 // of 64 KiB
	part := strings.Repeat("x", 64<<10)
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprint("stream ", stream), func(t *testing.T) {
			r := newSolo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				begin := `{"id":"m","content":[{"type":"text","text":"`
				w.Header().Set("Content-Type", "application/json")
				if stream {
					w.Header().Set("Content-Type", "text/event-stream")
					begin = "data: " + begin
				}
				if r.Header.Get("X-App") == "small" {
					_, _ = io.WriteString(w, begin+`ok"}]}`+"\n\n")
					return
				}
				_, _ = io.WriteString(w, begin)
				for range parts {
					_, _ = io.WriteString(w, part)
				}
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done() // the answer never ends
			}), nil)
			r.proxy.memory = limit.NewMemory(limit.MemoryConfig{Total: 3 << 20, Client: 3 << 20, Reserve: 1 << 20, Wait: time.Millisecond})
			got := r.post("/v1/messages", message(stream, "hi"))
			want := http.StatusServiceUnavailable
			if stream {
				want = http.StatusOK // the status has gone
			}
			if got.status != want || !strings.Contains(got.body, "overloaded_error") || strings.Contains(got.body, "xxx") {
				t.Errorf("%d %.300s", got.status, got.body)
			}
			if a := r.final(); a.Decision != proto.DecisionRefused || a.ErrorType != "answer_refused" || !strings.Contains(a.Reason, "memory") {
				t.Errorf("record %+v", a)
			}
			if got := r.post("/v1/messages", message(stream, "hi"), "X-App", "small"); got.status != http.StatusOK || !strings.Contains(got.body, "ok") {
				t.Errorf("a small answer: %d %s", got.status, got.body)
			}
			bustest.Eventually(t, "all memory is free", func() bool {
				used, _ := r.proxy.memory.Used()
				return used == 0
			})
		})
	}
}

// fullMemory takes alerts, and no records.
type fullMemory struct{ memory }

func (*fullMemory) AppendAudit(*proto.Audit) error { return spool.ErrFull }

func TestRefusalsForWantOfARecordAreSaid(t *testing.T) {
	r := newSolo(t, nil, nil)
	m := new(fullMemory)
	r.proxy.records.spool = m
	for range 3 {
		if got := r.post("/v1/messages", message(false, "hi")); got.status != http.StatusServiceUnavailable {
			t.Errorf("status %d", got.status)
		}
	}
	if len(m.alerts) != 1 || m.alerts[0].Rule.ID != policy.RuleUnrecorded || m.alerts[0].Severity != proto.SeverityHigh {
		t.Errorf("alerts %+v", m.alerts)
	}
}
