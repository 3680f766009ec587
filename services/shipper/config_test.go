package shipper

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/internal/config"
)

func TestWatchSettings(t *testing.T) {
	for _, test := range []struct {
		name    string
		environ []string
		silence time.Duration
		fault   string // part of it
	}{
		{"Suricata", []string{"SHIPPER_SOURCE=suricata"}, 5 * time.Minute, ""},
		{"Tracee", []string{"SHIPPER_SOURCE=tracee"}, 15 * time.Minute, ""},
		{"mapped", []string{"SHIPPER_SOURCE=falco", "SHIPPER_MAPPING=../../mappings/falco.yaml", "SHIPPER_PATH=x"}, 0, ""},
		{"mapped under a known name", []string{"SHIPPER_SOURCE=tracee", "SHIPPER_MAPPING=../../mappings/falco.yaml", "SHIPPER_PATH=x"}, 0, ""},
		{"mapped and set", []string{"SHIPPER_SOURCE=falco", "SHIPPER_MAPPING=../../mappings/falco.yaml", "SHIPPER_PATH=x", "SENSOR_SILENCE=1h"}, time.Hour, ""},
		{"set", []string{"SHIPPER_SOURCE=suricata", "SENSOR_SILENCE=90s"}, 90 * time.Second, ""},
		{"off", []string{"SHIPPER_SOURCE=suricata", "SENSOR_SILENCE=0s"}, 0, ""},
		{"too short", []string{"SHIPPER_SOURCE=suricata", "SENSOR_SILENCE=1ms"}, 0, "SENSOR_SILENCE"},
		{"too long", []string{"SHIPPER_SOURCE=suricata", "SENSOR_SILENCE=25h"}, 0, "SENSOR_SILENCE"},
		{"negative", []string{"SHIPPER_SOURCE=suricata", "SENSOR_SILENCE=-5m"}, 0, "SENSOR_SILENCE"},
		{"no duration", []string{"SHIPPER_SOURCE=suricata", "SENSOR_SILENCE=never"}, 0, "SENSOR_SILENCE"},
		{"raw in other words", []string{"SHIPPER_SOURCE=suricata", "SHIPPER_RAW=full"}, 0, "SHIPPER_RAW"},
		{"metrics", []string{"SHIPPER_SOURCE=tracee", "TRACEE_METRICS_URL=http://127.0.0.1:3366/metrics"}, 15 * time.Minute, ""},
		{"no URL", []string{"SHIPPER_SOURCE=tracee", "TRACEE_METRICS_URL=127.0.0.1:3366"}, 0, "TRACEE_METRICS_URL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var cfg Config
			err := config.Load(&cfg, test.environ)
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := cfg.silence(); got != test.silence {
				t.Errorf("silence %s, want %s", got, test.silence)
			}
		})
	}
}

// The former default in a folder of everybody's is used only as long as nothing
// is at the new place, and only if nobody else can have written it.
func TestDefaultPath(t *testing.T) {
	for _, test := range []struct {
		name   string
		usual  bool
		former os.FileMode // 0: it does not exist
		want   string
		fault  bool
	}{
		{"neither", false, 0, "usual", false},
		{"usual", true, 0, "usual", false},
		{"both", true, 0o644, "usual", false},
		{"former", false, 0o644, "former", false},
		{"unsafe former", false, 0o666, "usual", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			usual, former := filepath.Join(t.TempDir(), "usual"), filepath.Join(t.TempDir(), "former")
			write := func(path string, mode os.FileMode) {
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, mode); err != nil {
					t.Fatal(err)
				}
			}
			if test.usual {
				write(usual, 0o644)
			}
			if test.former != 0 {
				write(former, test.former)
			}
			got, err := defaultPath(usual, former)
			if filepath.Base(got) != test.want || (err != nil) != test.fault {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}
