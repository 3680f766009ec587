package daemon

import (
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	built := func(version string) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}}
	}
	tests := []struct {
		name  string
		given string
		info  *debug.BuildInfo
		want  string
	}{
		{"given at build time", "v1.2.3", built("v0.0.1"), "v1.2.3"},
		{"from the checkout", "", built("v0.0.0-20260102030405-abcdefabcdef+dirty"), "v0.0.0-20260102030405-abcdefabcdef+dirty"},
		{"neither", "", built("(devel)"), "devel"},
		{"built without modules", "", nil, "devel"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := versionOf(test.given, test.info); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
