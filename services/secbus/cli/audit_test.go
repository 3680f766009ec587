package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// TestAuditWithoutItsDirectory asks the auditor over the bus what it answers from
// its directory.
func TestAuditWithoutItsDirectory(t *testing.T) {
	s := newSession(t)
	b := bustest.Start(t)
	key := filepath.Join(s.dir, "operator.nk")
	if err := os.WriteFile(key, []byte(b.Seed(t, bus.RoleOperator)), 0o600); err != nil {
		t.Fatal(err)
	}
	const requests = 3
	proxy := b.Conn(t, bus.RoleProxy)
	for i := range requests {
		a := proto.Audit{
			RequestID: fmt.Sprint("request-", i), Phase: proto.PhaseEnd, Time: time.Now().UTC(), Host: bustest.Host, Source: bus.RoleProxy, Kind: "request",
			Client: "agent", RequestModel: "claude-sonnet-4-5", Decision: proto.DecisionAllowed, Status: 200,
			Usage: &proto.Usage{Input: 1_000_000, Complete: true}, ToolCalls: []proto.ToolCall{{Name: "exec"}},
		}
		payload, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		m := nats.NewMsg(a.Subject().Ingest())
		m.Header.Set(proto.HeaderEventID, proto.AuditID(a.RequestID, a.Phase))
		m.Data = payload
		if err := proxy.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(s.dir, "audit")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- auditor.Run(ctx, auditor.Config{
			NATS: config.NATS{URL: b.URL(), NKeySeed: config.NewSecret(b.Seed(t, bus.RoleAuditor))},
			Host: bustest.Host, Dir: dir, SegmentBytes: 1 << 20, SignEvery: time.Minute,
		}, daemon.Discard())
	}()
	bustest.Eventually(t, "all requests are listed", func() bool {
		_, out, _ := s.run(t.Context(), "audit", "list", "--log", dir, "--json")
		return strings.Count(out, "\n") == requests
	})
	nowhere := filepath.Join(s.dir, "nowhere")
	asking := []string{"--server", b.URL(), "--key", key, "--log", nowhere}
	for _, command := range [][]string{
		{"list"},
		{"list", "--json", "--limit", "2", "--oldest"},
		{"list", "--csv", "--client", "agent"},
		{"show", "request-1"},
		{"report", "--by", "day"},
		{"report", "--by", "model", "--json", "--since", "1h"},
		{"tools", "--csv"},
	} {
		t.Run(strings.Join(command, " "), func(t *testing.T) {
			command = append([]string{"audit"}, command...)
			code, want, errs := s.run(t.Context(), append(command, "--log", dir)...)
			if code != exitOK || want == "" {
				t.Fatalf("exit code %d\n%s%s", code, want, errs)
			}
			code, got, errs := s.run(t.Context(), append(command, asking...)...)
			if code != exitOK || got != want {
				t.Errorf("exit code %d\n%s\nwant\n%s\n%s", code, got, want, errs)
			}
		})
	}
	if code, _, errs := s.run(t.Context(), append([]string{"audit", "show", "nothing"}, asking...)...); code != exitFailed || !strings.Contains(errs, "no such request") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if code, _, errs := s.run(t.Context(), append([]string{"audit", "list"}, asking...)...); code != exitFailed || !strings.Contains(errs, "no auditor has replied: is one running on this bus?") {
		t.Errorf("without an auditor: exit code %d\n%s", code, errs)
	}
	if code, _, errs := s.run(t.Context(), "audit", "list", "--data", nowhere); code != exitFailed || !strings.Contains(errs, "there is no audit log in "+nowhere) || !strings.Contains(errs, "no bus is running") {
		t.Errorf("without a bus: exit code %d\n%s", code, errs)
	}
}
