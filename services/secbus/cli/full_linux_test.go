package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/fulldisk"
)

// TestUpOnAFullDisk fills the disk of a bus with the lines of a sensor. /readyz says so
// for as long as it is full; once there is room, the bus goes on by itself, and each line
// is stored once.
func TestUpOnAFullDisk(t *testing.T) {
	s := newSession(t)
	disk := fulldisk.Mount(t, 48, 42)
	data, eve := filepath.Join(disk.Dir, "data"), filepath.Join(s.dir, "eve.json")
	s.environ = []string{"SURICATA_EVE_PATH=" + eve, "ADMIN_ADDR=127.0.0.1:0", "PROXY_ADDR=127.0.0.1:0"}
	up := s.start("up", "--data", data, "--listen", "127.0.0.1:0")
	eventually(t, up.errs, "Health and metrics: ")
	url := regexp.MustCompile(`http://\S+/readyz`).FindString(up.errs.String())
	ready := func() string {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if full := bytes.Contains(body, []byte("disk full")); full && resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("status %s with a full disk", resp.Status)
		}
		return string(body)
	}
	const lines = 4000
	var file bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&file, `{"timestamp":"2026-11-22T07:10:00.000000+0000","event_type":"dns","src_ip":"172.17.0.2","n":%d,"pad":%q}`+"\n", i, strings.Repeat("x", 2000))
	}
	if err := os.WriteFile(eve, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, "/readyz says that the disk is full", func() bool { return strings.Contains(ready(), "disk full") })
	t.Log(ready())
	disk.MakeRoom(t)
	bustest.Eventually(t, "/readyz says no more that the disk is full", func() bool { return !strings.Contains(ready(), "disk full") })
	bustest.Eventually(t, "each line is stored", func() bool {
		_, out, _ := s.run(t.Context(), "status", "--data", data, "--json")
		var got status
		return json.Unmarshal([]byte(out), &got) == nil && got.held("EVENTS_suricata")+got.held("ALERTS_suricata") >= lines
	})
	tail := s.start("tail", "--data", data, "--since", "1h", "--json")
	checkEvents(t, tail, lines)
	up.end(t)
}
