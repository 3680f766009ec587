package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// alertEvery is how many lines of the sensors one alert comes in.
const alertEvery = 40

// sensor appends numbered lines to a file, as a sensor would.
type sensor struct {
	source string
	file   *os.File
	format func(n int) string
	lines  int // written so far
}

// suricata writes to the file that the shipper of Suricata follows.
func (r *rig) suricata() *sensor { return r.sensor("suricata", "eve.json", suricataLine) }

// tracee writes to the file that the shipper of Tracee follows.
func (r *rig) tracee() *sensor { return r.sensor("tracee", "events.json", traceeLine) }

func (r *rig) sensor(source, name string, format func(int) string) *sensor {
	r.t.Helper()
	f, err := os.OpenFile(filepath.Join(r.sensorDir, name), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Close() })
	return &sensor{source: source, file: f, format: format}
}

// write appends n lines.
func (s *sensor) write(t *testing.T, n int) {
	var b bytes.Buffer
	for range n {
		b.WriteString(s.format(s.lines))
		b.WriteByte('\n')
		s.lines++
	}
	if _, err := s.file.Write(b.Bytes()); err != nil {
		t.Errorf("writing lines of %s: %v", s.source, err)
	}
}

// play appends lines at a steady rate until ctx ends.
func (s *sensor) play(ctx context.Context, t *testing.T, perSecond int) {
	const pieces = 10 // a second
	tick := time.NewTicker(time.Second / pieces)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.write(t, perSecond/pieces)
		case <-ctx.Done():
			return
		}
	}
}

// alerts is how many of the lines are alerts.
func (s *sensor) alerts() int { return (s.lines + alertEvery - 1) / alertEvery }

// suricataLine is a DNS query or, for one in alertEvery, an alert of severity
// medium or high.
func suricataLine(n int) string {
	at := time.Now().UTC().Format("2006-01-02T15:04:05.000000-0700")
	flow := fmt.Sprintf(`"timestamp":%q,"e2e_line":%d,"flow_id":%d,"src_ip":"172.17.0.2","src_port":46878,"dest_ip":"198.51.100.7","dest_port":53,"proto":"UDP"`, at, n, 1705860328762947+n)
	if n%alertEvery != 0 {
		return `{` + flow + fmt.Sprintf(`,"event_type":"dns","dns":{"version":3,"type":"request","tx_id":0,"id":%d,"queries":[{"rrname":"host%d.example.org","rrtype":"A"}]}}`, n%65536, n)
	}
	priority := 1 + n/alertEvery%2
	return `{` + flow + fmt.Sprintf(`,"event_type":"alert","alert":{"action":"allowed","gid":1,"signature_id":%d,"rev":1,"signature":"E2E line %d","category":"Misc Attack","severity":%d}}`, 9910000+n/alertEvery%7, n, priority)
}

// traceeLine is a program's start.
func traceeLine(n int) string {
	return fmt.Sprintf(`{"timestamp":%d,"e2e_line":%d,"processId":%d,"hostProcessId":%d,"userId":0,"processName":"sleep","hostName":"lab","containerId":"d49e6a797072","eventId":"715","eventName":"sched_process_exec","returnValue":0,"args":[{"name":"pathname","type":"string","value":"/usr/bin/sleep"}]}`,
		time.Now().UnixNano(), n, 1000+n%30000, 1000+n%30000)
}
