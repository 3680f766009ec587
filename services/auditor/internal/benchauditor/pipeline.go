package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// pipeline measures how long an auditor takes for a stream that is there already,
// from the start of its process until the last record is acknowledged, and how much
// memory it needs for that. Then it verifies the log with the stream.
func (b *bench) pipeline(ctx context.Context, dir string) (err error) {
	s, err := newSystem(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.server.stop()) }()
	if err := s.fill(ctx, b.records); err != nil {
		return fmt.Errorf("filling the stream: %w", err)
	}
	operator, err := s.connect(ctx, bus.RoleOperator)
	if err != nil {
		return err
	}
	defer operator.Close()

	began := time.Now()
	p, err := start(roleAuditor, s.auditorEnviron()...)
	if err != nil {
		return err
	}
	err = waitFor(ctx, operator, uint64(b.records), p)
	took := time.Since(began)
	peak := peakRSS(p.cmd.Process.Pid)
	if err := errors.Join(err, p.stop()); err != nil {
		return err
	}
	result("pipeline_records_per_s", float64(b.records)/took.Seconds(), "records/s")
	if peak > 0 {
		result("peak_rss_mb", float64(peak)/(1<<20), "MiB")
	}

	tail, err := s.connect(ctx, bus.RoleTail)
	if err != nil {
		return err
	}
	defer tail.Close()
	began = time.Now()
	v, err := auditor.Reader{Dir: s.logDir()}.Verify(ctx, tail, "", nil)
	if err != nil {
		return err
	}
	if !v.OK() || v.Records != uint64(b.records) || v.Stream.Compared != b.records {
		return fmt.Errorf("the log holds %d records, of which %d are in the stream: %v %v", v.Records, v.Stream.Compared, v.Faults, v.Stream.Differences)
	}
	result("verify_with_stream_s", time.Since(began).Seconds(), "s")
	return nil
}

// fill stores n records in the stream.
func (s *system) fill(ctx context.Context, n int) error {
	conn, err := s.connect(ctx, bus.RoleProxy)
	if err != nil {
		return err
	}
	defer conn.Close()
	fence := bus.NewFence(conn, proto.StreamAudit, proto.SourceFilter(host, bus.RoleProxy))
	if _, err := fence.Last(ctx); err != nil {
		return err
	}
	subject := proto.Audit{Host: host, Source: bus.RoleProxy, Kind: "llm-request"}
	g := newGenerator(n)
	for at := 0; at < n; {
		batch := make([]*nats.Msg, min(proto.MaxBatch, n-at))
		for i := range batch {
			r, err := g.next()
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
func waitFor(ctx context.Context, operator *bus.Conn, n uint64, p *process) error {
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
		case err := <-p.ended:
			p.ended <- err
			return fmt.Errorf("the auditor ended by itself: %w", errors.Join(err, errors.New(p.stderr.String())))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// peakRSS is the most memory that a process has had resident, in bytes; 0 where
// there is no /proc. That of getrusage(2) would include the parent's, which the
// child was until it became another program.
func peakRSS(pid int) int64 {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}
