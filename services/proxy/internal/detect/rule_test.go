package detect

import (
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
)

func TestModesFromTheEnvironment(t *testing.T) {
	var c struct {
		Detect Modes `env:"PROXY_DETECT" doc:"Modes of rules."`
	}
	if err := config.Load(&c, []string{"PROXY_DETECT= secret=enforce, hidden-unicode = off,,key-leak=observe"}); err != nil {
		t.Fatal(err)
	}
	want := Modes{Secret: Enforce, HiddenUnicode: Off, KeyLeak: Observe}
	for _, r := range Rules() {
		mode, ok := want[r.Name]
		if !ok {
			mode = r.Default
		}
		if got := c.Detect.of(r); got != mode {
			t.Errorf("%s: %s, want %s", r.Name, got, mode)
		}
	}
	if len(c.Detect) != len(want) {
		t.Errorf("got %v", c.Detect)
	}
}

func TestModesNameEveryFault(t *testing.T) {
	var m Modes
	err := m.UnmarshalText([]byte("secrets=enforce,canary=block,drift,key-leak=off,key-leak=observe"))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{`"secrets"`, `canary: "block" is not one of off, observe, enforce`, `"drift" is not of the form`, "key-leak is set twice", "the rules are key-leak, canary, "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %s", err, want)
		}
	}
	if m != nil {
		t.Errorf("set to %v all the same", m)
	}
}

func TestEveryRuleIsDescribed(t *testing.T) {
	for _, r := range Rules() {
		if r.Description == "" || r.Severity == 0 || r.Default == Off {
			t.Errorf("%+v", r)
		}
		if want := r.Name == KeyLeak || r.Name == Canary; (r.Default == Enforce) != want {
			t.Errorf("%s is %s by default", r.Name, r.Default)
		}
	}
}
