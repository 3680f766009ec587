package shipper

import (
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
