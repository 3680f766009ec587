package suricata

import (
	"context"
	"errors"
	"os"
	"os/exec"
	ossignal "os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sensor plays Suricata: it notes how it is called and what signals it gets,
// and opens its log anew on SIGHUP. It moves what it is to say away before it
// writes that: the log can be rotated, and the next line be there, at once.
const sensor = `echo "start $*" >>"$SANDBOX/calls"
trap 'echo hup >>"$SANDBOX/calls"; exec 3>>"$SANDBOX/logs/eve.json"' HUP
trap 'echo usr2 >>"$SANDBOX/calls"' USR2
trap 'echo term >>"$SANDBOX/calls"; exit 0' TERM
exec 3>>"$SANDBOX/logs/eve.json"
while :; do
  if mv "$SANDBOX/say" "$SANDBOX/said" 2>/dev/null; then cat "$SANDBOX/said" >&3; fi
  if [ -e "$SANDBOX/crash" ]; then exit 3; fi
  sleep 0.02 & wait $!
done
`

// startSensor runs run.sh, and returns what ends it and waits for it.
func startSensor(t *testing.T, s *sandbox) (signal func(syscall.Signal), wait func() error) {
	t.Helper()
	return startSensorOn(t, s, "br-test")
}

func startSensorOn(t *testing.T, s *sandbox, interfaces string) (signal func(syscall.Signal), wait func() error) {
	t.Helper()
	s.program("suricata", sensor)
	// A shell cannot trap a signal that was ignored when it started, and where
	// tests run under nohup, SIGHUP is. What this process handles, its children
	// find in its default state.
	signals := make(chan os.Signal, 1)
	ossignal.Notify(signals, syscall.SIGHUP)
	t.Cleanup(func() { ossignal.Stop(signals) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	command := s.command(ctx, "run.sh", interfaces, "--set", "a=b")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
	signal = func(n syscall.Signal) {
		if err := command.Process.Signal(n); err != nil {
			t.Error(err)
		}
	}
	return signal, func() error {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestRunFollowsTheInterface(t *testing.T) {
	s := newSandbox(t)
	signal, wait := startSensor(t, s)
	s.write("net/br-other/ifindex", "6\n")
	if s.exists("capturing") {
		t.Error("capturing without an interface")
	}
	s.write("net/br-test/ifindex", "7\n")
	s.eventually("it starts", func() bool { return strings.Count(s.read("calls"), "start ") == 1 && s.exists("capturing") })
	want := "start -c " + s.path("config/suricata.yaml") + " -i br-test -k none -l " + s.path("logs") + " --set a=b"
	if s.calls(want) != 1 {
		t.Errorf("calls are %s, want %s", s.read("calls"), want)
	}
	s.write("net/br-test/ifindex", "8\n")
	s.eventually("it starts anew for another interface of the name", func() bool {
		return s.calls("term") == 1 && strings.Count(s.read("calls"), "start ") == 2
	})
	signal(syscall.SIGTERM)
	if err := wait(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if s.calls("term") != 2 || s.exists("capturing") {
		t.Errorf("after the end capturing is %v, and calls are %s", s.exists("capturing"), s.read("calls"))
	}
}

// Several networks are watched together, whenever each comes and goes.
func TestRunFollowsSeveralInterfaces(t *testing.T) {
	s := newSandbox(t)
	const header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	const others = "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\nbr-wide\t000014AC\t00000000\t0001\t0\t0\t0\t0000F0FF\t0\t0\t0\n"
	route := func(bridge string) string { return bridge + "\t000014AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" }
	s.write("routes", header+others+route("br-0123456789ab"))
	for name, number := range map[string]string{"br-test": "7\n", "br-0123456789ab": "8\n", "br-wide": "9\n", "eth0": "2\n", "oc-browser": ""} {
		s.write("net/"+name+"/ifindex", number)
	}
	startSensorOn(t, s, "br-test,172.20.0.0/16,oc-*")
	starts := func(interfaces string) func() bool {
		line := "start -c " + s.path("config/suricata.yaml") + " " + interfaces + " -k none -l " + s.path("logs") + " --set a=b"
		return func() bool { return s.calls(line) == 1 }
	}
	s.eventually("it starts on those that are there", starts("-i br-0123456789ab -i br-test"))
	s.write("net/oc-browser/ifindex", "11\n")
	s.eventually("it adds one that comes later", starts("-i br-0123456789ab -i br-test -i oc-browser"))
	s.write("net/br-fedcba987654/ifindex", "12\n")
	s.write("routes", header+others+route("br-fedcba987654"))
	s.eventually("it finds the network that was made anew", starts("-i br-fedcba987654 -i br-test -i oc-browser"))
	if got := s.calls("term"); got != 2 {
		t.Errorf("Suricata was ended %d times, want 2", got)
	}
}

// Where the container lets it, everything after the start runs as another user,
// who may capture. Where it does not, Suricata runs all the same.
func TestRunGivesUpRoot(t *testing.T) {
	for name, allowed := range map[string]bool{"allowed": true, "refused": false} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			s.env = append(s.env, "SURICATA_USER=65533:65532")
			s.pretendRoot()
			if allowed {
				s.write("allowed", "")
			}
			s.write("net/br-test/ifindex", "7\n")
			signal, wait := startSensor(t, s)
			s.eventually("it captures", func() bool { return strings.Count(s.read("calls"), "start ") == 1 })
			if s.calls("chown -R 65533:65532 "+s.path("logs")) != 1 || s.calls("chown -R 65533:65532 "+s.dir) != 1 {
				t.Errorf("the log is not handed over: %s", s.read("calls"))
			}
			const rights = "-all,+net_admin,+net_raw,+sys_nice"
			// Once to see whether it may, once for good.
			want := "setpriv --reuid 65533 --regid 65532 --clear-groups --inh-caps " + rights + " --ambient-caps " + rights
			if got := s.calls(want); (got == 2) != allowed {
				t.Errorf("%d times %q: %s", got, want, s.read("calls"))
			}
			signal(syscall.SIGTERM)
			if err := wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRunStopsWhileItWaits(t *testing.T) {
	s := newSandbox(t)
	signal, wait := startSensor(t, s)
	s.write("net/br-test/ifindex", "7\n")
	s.eventually("it starts", func() bool { return s.exists("capturing") })
	s.write("net/br-test/ifindex", "")
	s.eventually("it ends Suricata", func() bool { return s.calls("term") == 1 && !s.exists("capturing") })
	signal(syscall.SIGTERM)
	if err := wait(); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestRunRotates(t *testing.T) {
	s := newSandbox(t)
	s.env = append(s.env, "SURICATA_LOG_MAX_BYTES=8", "SURICATA_LOG_KEEP=2")
	s.write("logs/eve.json", "torn")
	s.write("net/br-test/ifindex", "7\n")
	signal, wait := startSensor(t, s)
	for i, line := range []string{"line-one\n", "line-two\n", "line-three\n"} {
		s.write("say", line)
		s.eventually("it rotates", func() bool { return s.calls("hup") == i+1 && s.exists("logs/eve.json") })
	}
	if got := s.read("logs/eve.json.1") + s.read("logs/eve.json.2"); got != "line-three\nline-two\n" {
		t.Errorf("kept %q", got)
	}
	if s.exists("logs/eve.json.3") || s.read("logs/eve.json") != "" {
		t.Error("more is kept than should be")
	}
	signal(syscall.SIGTERM)
	if err := wait(); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestRunEndsATornLine(t *testing.T) {
	s := newSandbox(t)
	s.write("logs/eve.json", "torn")
	s.write("say", "whole\n")
	s.write("net/br-test/ifindex", "7\n")
	startSensor(t, s)
	s.eventually("it writes", func() bool { return s.read("logs/eve.json") == "torn\nwhole\n" })
}

func TestRunLoadsNewRules(t *testing.T) {
	s := newSandbox(t)
	s.write("rules/suricata.rules", "alert one\n")
	s.write("net/br-test/ifindex", "7\n")
	startSensor(t, s)
	s.eventually("it starts", func() bool { return s.exists("capturing") })
	s.write("rules/suricata.rules", "alert two\n")
	s.eventually("it loads them", func() bool { return s.calls("usr2") == 1 })
}

func TestRunFailsWithSuricata(t *testing.T) {
	s := newSandbox(t)
	s.write("net/br-test/ifindex", "7\n")
	s.write("crash", "")
	_, wait := startSensor(t, s)
	var exit *exec.ExitError
	if err := wait(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("error %v, want Suricata's exit status 3", err)
	}
}

func TestRunWantsAnInterface(t *testing.T) {
	s := newSandbox(t)
	out, err := s.command(t.Context(), "run.sh").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 64 || !strings.Contains(string(out), "bridge.sh") {
		t.Errorf("error %v, output %s", err, out)
	}
}
