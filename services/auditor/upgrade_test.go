package auditor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// What the version before has left in testdata/before: 123 requests in a log of
// seven files, of which retention has removed four, one is compressed, and the last
// ends within a line, as a crash leaves it.
const (
	beforeRequests = 123
	beforeFirst    = 161 // record that is there
	beforeLast     = 2 * beforeRequests
	beforeTorn     = len(`{"prev":"`)
)

// TestLogOfTheVersionBefore verifies a log that the version before has written, with
// its index, and goes on with both.
func TestLogOfTheVersionBefore(t *testing.T) {
	r := newRig(t)
	if err := os.CopyFS(r.reader.Dir, os.DirFS(filepath.Join("testdata", "before"))); err != nil {
		t.Fatal(err)
	}
	alone := func() *Verification {
		t.Helper()
		v, err := r.reader.Verify(t.Context(), nil, VerifyOptions{PublicKey: filepath.Join("testdata", "before", "log", "key.pub")})
		if err != nil || !v.OK() || v.OwnKey || v.Unsigned != 0 {
			t.Fatalf("%+v, %v", v, err)
		}
		return v
	}
	v := alone()
	if v.Last != beforeLast || v.Records != beforeLast-beforeFirst+1 || len(v.Removed) != 4 || v.TornBytes != int64(beforeTorn) || v.Checkpoints == 0 {
		t.Errorf("%+v", v)
	}
	if report := sums(t, r.reader); report.Total.Requests != beforeRequests || report.Total.Input != 1000*beforeRequests || report.Unindexed != 0 {
		t.Errorf("the index has %+v", report)
	}
	shown, err := r.reader.Show(t.Context(), "request-000122")
	if err != nil || len(shown.Start) == 0 || len(shown.End) == 0 {
		t.Errorf("%+v, %v", shown, err)
	}

	// The stream is one that has some of its records still, which are not new.
	known := 0
	for record, err := range chain.Scan(logDir(r.reader.Dir), beforeLast-9) {
		if err != nil {
			t.Fatal(err)
		}
		r.publish(message(record.ID, record.Payload))
		known++
	}
	a := r.start()
	const more = 30 // requests, for another file
	r.publish(requests(t, 1000, more, 1000)...)
	r.settled()
	r.signed(beforeLast + 2*more)
	a.stop()
	if known != 10 || a.count("auditor_records_logged_total") != 2*more {
		t.Errorf("of %d records that were known and %d that were new, %v were logged", known, 2*more, a.count("auditor_records_logged_total"))
	}
	v = alone()
	if v.Last != beforeLast+2*more || v.Records != beforeLast-beforeFirst+1+2*more || v.TornBytes != 0 {
		t.Errorf("%+v", v)
	}
	if report := sums(t, r.reader); report.Total.Requests != beforeRequests+more || report.Unindexed != 0 {
		t.Errorf("the index has %+v", report)
	}
	if _, err := os.Stat(indexFile(r.reader.Dir) + ".old"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the index was built anew: %v", err)
	}
	var ids []string
	for request, err := range r.reader.List(t.Context(), audit.Filter{}, audit.Order{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, request.RequestID)
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != beforeRequests+more {
		t.Errorf("%d requests are listed", len(ids))
	}
}

// TestIndexOfTheVersionBefore: built anew, the index holds what is left of the log.
func TestIndexOfTheVersionBefore(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "before"))); err != nil {
		t.Fatal(err)
	}
	r := Reader{Dir: dir, Zone: time.UTC}
	records, err := r.Reindex(t.Context(), bustest.Log(t))
	if err != nil || records != beforeLast {
		t.Errorf("%d records, %v", records, err)
	}
	report, err := r.Report(t.Context(), audit.ByTool, audit.Filter{Decision: proto.DecisionAllowed})
	if err != nil || report.Total.Requests != (beforeLast-beforeFirst+1)/2 {
		t.Errorf("%+v, %v", report, err)
	}
}
