package follow

import (
	"strings"
	"testing"
)

func TestConfigFaults(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want []string
	}{
		"no path":          {Config{}, []string{"Path: is required"}},
		"a directory":      {Config{Path: "/var/log/"}, []string{"is a directory"}},
		"a bad pattern":    {Config{Path: "/var/log/eve.[.json"}, []string{"Path: ", "syntax error"}},
		"a wild directory": {Config{Path: "/var/*/eve.json"}, []string{"in the last element only"}},
		"several": {
			Config{Path: "x", Start: 7, MaxLine: 100, MaxBatchBytes: -1, PollInterval: -1, Grace: -1},
			[]string{"Start: 7", "MaxLine: 100", "MaxBatchBytes: ", "PollInterval: ", "Grace: "},
		},
		"a malformed position": {
			Config{Path: "x", From: Checkpoint{Positions: []Position{{Generation: "x"}}}},
			[]string{"From: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Open(c.cfg)
			if err == nil {
				f.Close()
				t.Fatal("it was accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}
