package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/shipper"
	"github.com/openclaw-security/bus/suricata"
)

// latency measures, in milliseconds, how long it takes from the write of a line
// to the arrival of the request that contains it. The chat takes a message a
// second, so that none has to wait for its turn.
func (b *bench) latency(ctx context.Context) (p50, p99 float64, err error) {
	s, err := b.newSystem(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	path := filepath.Join(s.dir, "eve.json")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	ships, err := s.run(roleShipper, bus.ShipperRole(shipper.SourceSuricata),
		"SHIPPER_SOURCE="+shipper.SourceSuricata, "SHIPPER_PATH="+path, "ADMIN_ADDR=", "LOG_LEVEL=warn")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, ships.Stop()) }()
	notifies, err := s.run(roleNotifier, notifier.Role, settings(s.api, 60)...)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, notifies.Stop()) }()

	lines := alertLines()
	const warmUp = 2
	var took []float64
	for i := range b.lines + warmUp {
		began := time.Now()
		if _, err := f.Write(lines[i%len(lines)]); err != nil {
			return 0, 0, err
		}
		select {
		case at := <-s.arrivals:
			if i >= warmUp {
				took = append(took, float64(at.Sub(began).Microseconds())/1000)
			}
		case <-time.After(patience):
			return 0, 0, fmt.Errorf("no message about line %d after %s", i+1, patience)
		}
		select {
		case <-time.After(b.every):
		case <-ctx.Done():
			return 0, 0, context.Cause(ctx)
		}
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], nil
}

// alertLines are the alerts of the recording, those that are sent by default.
func alertLines() [][]byte {
	var lines [][]byte
	for line := range bytes.Lines(suricata.Recording()) {
		if bytes.Contains(line, []byte(`"event_type":"alert"`)) && !bytes.Contains(line, []byte(`"severity":3`)) {
			lines = append(lines, line)
		}
	}
	return lines
}
