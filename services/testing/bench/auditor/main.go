// Command benchauditor measures the auditor as a process of its own, over loopback:
//
//	JetStream ─▶ auditor ─▶ log, synced ─▶ acknowledged
//
// What its log and its index do by themselves is measured by the benchmarks of
// package auditor; make bench-auditor runs both.
//
//	go run ./services/testing/bench/auditor
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/testing/bench/auditor/records"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

const roleAuditor = "auditor" // of the process that is measured

func main() {
	childproc.Main(childproc.Roles{
		roleAuditor:        func() int { return service.Main(auditor.Spec(), auditor.Run, nil) },
		bustest.ServerRole: bustest.Serve,
	})
	n := flag.Int("records", 100_000, "records in the stream, an even number")
	parent := flag.String("dir", "", "directory on the disk to measure; a temporary one by default")
	flag.Parse()
	if err := run(context.Background(), *parent, *n); err != nil {
		fmt.Fprintln(os.Stderr, "benchauditor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, parent string, n int) (err error) {
	dir, err := os.MkdirTemp(parent, "benchauditor-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return pipeline(ctx, dir, n)
}

func result(name string, value float64, unit string) {
	fmt.Printf("result %s %.4g %s\n", name, value, unit)
}

// pipeline measures how long an auditor takes for a stream that is there already,
// from the start of its process until the last record is acknowledged, and how much
// memory it needs for that. Then it verifies the log with the stream.
func pipeline(ctx context.Context, dir string, n int) (err error) {
	s, err := bustest.StartServer(dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := s.Provision(ctx, bus.ProvisionConfig{}); err != nil {
		return err
	}
	if err := fill(ctx, s, n); err != nil {
		return fmt.Errorf("filling the stream: %w", err)
	}
	operator, err := s.Connect(ctx, bus.RoleOperator)
	if err != nil {
		return err
	}
	defer operator.Close()

	began := time.Now()
	log := filepath.Join(dir, "audit")
	p := &childproc.Process{Role: roleAuditor, Env: append(s.Environ(bus.RoleAuditor), "AUDIT_DIR="+log, "ADMIN_ADDR=", "LOG_LEVEL=warn")}
	if err := p.Start(); err != nil {
		return err
	}
	defer p.End()
	err = waitFor(ctx, operator, uint64(n), p)
	took := time.Since(began)
	if err != nil {
		return err
	}
	if childproc.HasUsage {
		u, err := p.Usage()
		if err != nil {
			return err
		}
		result("peak_rss_mb", float64(u.PeakRSS)/(1<<20), "MiB")
	}
	if err := p.Stop(); err != nil {
		return err
	}
	result("pipeline_records_per_s", float64(n)/took.Seconds(), "records/s")

	tail, err := s.Connect(ctx, bus.RoleTail)
	if err != nil {
		return err
	}
	defer tail.Close()
	began = time.Now()
	v, err := auditor.Reader{Dir: log}.Verify(ctx, tail, auditor.VerifyOptions{})
	if err != nil {
		return err
	}
	if !v.OK() || v.Records != uint64(n) || v.Stream.Compared != n {
		return fmt.Errorf("the log holds %d records, of which %d are in the stream: %v %v", v.Records, v.Stream.Compared, v.Corruptions, v.Stream.Differences)
	}
	result("verify_with_stream_s", time.Since(began).Seconds(), "s")
	return nil
}

// fill stores n records in the stream.
func fill(ctx context.Context, s *bustest.Server, n int) error {
	conn, err := s.Connect(ctx, bus.RoleProxy)
	if err != nil {
		return err
	}
	defer conn.Close()
	fence := bus.NewFence(conn, proto.StreamAudit, proto.SourceFilter(records.Host, bus.RoleProxy))
	if _, err := fence.Last(ctx); err != nil {
		return err
	}
	subject := proto.Audit{Host: records.Host, Source: bus.RoleProxy, Kind: "request"}
	g := records.New(n)
	for at := 0; at < n; {
		batch := make([]*nats.Msg, min(proto.MaxBatch, n-at))
		for i := range batch {
			r, err := g.Next()
			if err != nil {
				return err
			}
			batch[i] = &nats.Msg{Subject: subject.Subject().Ingest(), Header: nats.Header{}, Data: r.Payload}
			batch[i].Header.Set(proto.HeaderEventID, r.ID)
		}
		if err := fence.Publish(ctx, batch); err != nil {
			return err
		}
		at += len(batch)
	}
	return nil
}

// waitFor waits until n records have been acknowledged.
func waitFor(ctx context.Context, operator *bus.Conn, n uint64, p *childproc.Process) error {
	for {
		o, err := operator.Overview(ctx)
		if err != nil {
			return err
		}
		for _, d := range o.Durables {
			if d.Name == proto.DurableAuditor && d.Progress.AckedThrough == n {
				return nil
			}
		}
		select {
		case <-p.Ended():
			return errors.Join(childproc.ErrEnded, p.Wait())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
