//go:build linux

package attack

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace: what a container has.
type namespace string

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// do runs f on a thread in the namespace, which ends with it.
func (n namespace) do(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread belongs to nothing else any more
		fd, err := os.Open("/run/netns/" + string(n))
		if err == nil {
			defer fd.Close()
			err = unix.Setns(int(fd.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// send sends a packet from an address, which need not be the sender's own.
func (n namespace) send(t *testing.T, from, to, text string) {
	t.Helper()
	n.do(t, func() error {
		c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from)), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte(text))
		return err
	})
}

// shippedSysctls are those of the containers on several networks.
func shippedSysctls(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?m)^x-no-router: &no-router\n((?:  .*\n)+)`).FindSubmatch(text)
	if block == nil {
		t.Fatal("compose.yaml has no x-no-router")
	}
	all := make(map[string]string)
	for line := range strings.Lines(string(block[1])) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		all[name] = value
	}
	return all
}

// TestForwarding: a container on the agent's network and on security-net passes on no
// packet of the agent's, with its own or a made-up sender. Without the settings of
// compose.yaml it does.
func TestForwarding(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and iproute2, to make networks")
	}
	if out, err := exec.CommandContext(t.Context(), "unshare", "--net", "true").CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %v: %s", err, out)
	}
	for name, test := range map[string]struct {
		sysctls map[string]string
		arrives bool
	}{
		"a container as Docker makes it": {map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "0"}, true},
		"a container of ours":            {shippedSysctls(t), false},
	} {
		t.Run(name, func(t *testing.T) {
			made := func(role string) namespace {
				n := fmt.Sprintf("attack-%d-%s", os.Getpid(), role)
				ip(t, "netns", "add", n)
				t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", n).Run() })
				ip(t, "-n", n, "link", "set", "lo", "up")
				return namespace(n)
			}
			agent, proxy, server := made("agent"), made("proxy"), made("server")
			for n, other := range []namespace{agent, server} {
				inside, outside := fmt.Sprint("in", n), "eth0"
				ip(t, "link", "add", inside, "netns", string(proxy), "type", "veth", "peer", "name", outside, "netns", string(other))
				ip(t, "-n", string(proxy), "addr", "add", fmt.Sprintf("192.0.%d.1/24", 2+n), "dev", inside)
				ip(t, "-n", string(proxy), "link", "set", inside, "up")
				ip(t, "-n", string(other), "addr", "add", fmt.Sprintf("192.0.%d.2/24", 2+n), "dev", outside)
				ip(t, "-n", string(other), "link", "set", outside, "up")
			}
			ip(t, "-n", string(agent), "route", "add", "192.0.3.0/24", "via", "192.0.2.1")
			ip(t, "-n", string(agent), "addr", "add", "192.0.3.77/32", "dev", "lo") // of security-net
			proxy.do(t, func() error {
				for key, value := range test.sysctls {
					path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
					if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
						return err
					}
				}
				return nil
			})
			var listener *net.UDPConn
			server.do(t, func() (err error) {
				listener, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 5000})
				return err
			})
			defer listener.Close()
			agent.send(t, "192.0.2.2:4000", "192.0.3.2:5000", "from its own address")
			agent.send(t, "192.0.3.77:4000", "192.0.3.2:5000", "from a made-up one")
			proxy.send(t, "192.0.3.1:4000", "192.0.3.2:5000", "the end") // waits for the same neighbor as those before it
			var arrived []string
			for packet := make([]byte, 100); ; {
				n, _, err := listener.ReadFrom(packet)
				if err != nil {
					t.Fatal(err)
				}
				if string(packet[:n]) == "the end" {
					break
				}
				arrived = append(arrived, string(packet[:n]))
			}
			if test.arrives != (len(arrived) > 0) {
				t.Errorf("arrived: %q", arrived)
			}
		})
	}
}
