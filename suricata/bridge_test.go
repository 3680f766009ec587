package suricata

import (
	"strings"
	"testing"
)

func TestBridge(t *testing.T) {
	tests := []struct {
		name   string
		docker string // what docker network inspect does
		want   string
		fails  string
	}{
		{name: "named bridge", docker: `echo "bridge 0123456789ab br-openclaw"`, want: "br-openclaw\n"},
		{name: "bridge without a name", docker: `echo "bridge 0123456789ab "`, want: "br-0123456789ab\n"},
		{name: "the default bridge", docker: `echo "bridge 0123456789ab docker0"`, want: "docker0\n"},
		{name: "no such network", docker: `[ "$2" = ls ] && { echo other_default; exit; }; echo "Error: No such network: x" >&2; exit 1`, fails: "there is no network openclaw_default; start OpenClaw first, or name one of: other_default"},
		{name: "no daemon", docker: `echo "Cannot connect to the Docker daemon" >&2; exit 1`, fails: "Cannot connect to the Docker daemon"},
		{name: "another driver", docker: `echo "overlay 0123456789ab "`, fails: "has no bridge on this machine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t)
			s.program("docker", tt.docker+"\n")
			command := s.command(t.Context(), "bridge.sh")
			var stderr strings.Builder
			command.Stderr = &stderr
			out, err := command.Output()
			if string(out) != tt.want || (err != nil) != (tt.fails != "") {
				t.Errorf("prints %q, error %v", out, err)
			}
			if !strings.Contains(stderr.String(), tt.fails) {
				t.Errorf("says %q, want %q", stderr.String(), tt.fails)
			}
		})
	}
}

// The subnets are what stays of a network that Docker makes anew.
func TestBridgeSubnet(t *testing.T) {
	s := newSandbox(t)
	s.program("docker", `case "$*" in
*IPAM*) printf '172.20.0.0/16\nfd00:1::/64\n10.5.0.0/24\n\n' ;;
*) echo "bridge 0123456789ab " ;;
esac
`)
	out, err := s.command(t.Context(), "bridge.sh", "--subnet", "pond").Output()
	if got, want := string(out), "172.20.0.0/16,10.5.0.0/24\n"; got != want || err != nil {
		t.Errorf("prints %q (%v), want %q", got, err, want)
	}
}
