package config_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
)

type sample struct {
	Path    string         `env:"SAMPLE_PATH, required" doc:"File to follow."`
	Count   int            `env:"SAMPLE_COUNT, default=3"`
	Small   int8           `env:"SAMPLE_SMALL"`
	Ratio   float64        `env:"SAMPLE_RATIO, default=0.5"`
	On      bool           `env:"SAMPLE_ON"`
	Wait    time.Duration  `env:"SAMPLE_WAIT, default=30s"`
	Ports   []int          `env:"SAMPLE_PORTS, default=1,2"`
	Peer    netip.AddrPort `env:"SAMPLE_PEER"`
	Label   string         `env:"SAMPLE_LABEL, default=on $SAMPLE_HOST" empty:"allowed"`
	Token   config.Secret  `env:"SAMPLE_TOKEN"`
	Nested  nested
	private int
}

type nested struct {
	Low  int `env:"SAMPLE_LOW"`
	High int `env:"SAMPLE_HIGH, default=9"`
}

func (n nested) Validate() error {
	if n.Low > n.High {
		return config.Faultf("SAMPLE_LOW", "%d is above SAMPLE_HIGH, %d", n.Low, n.High)
	}
	return nil
}

func TestLoadFillsFieldsAndDefaults(t *testing.T) {
	got := sample{Count: 77, private: 5}
	err := config.Load(&got, []string{"SAMPLE_PATH=/var/log/a=b", "SAMPLE_HOST=box1", "SAMPLE_COUNT=", "SAMPLE_PEER=127.0.0.1:80", "SAMPLE_TOKEN=hush", "SAMPLE_LOW=-4"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Path != "/var/log/a=b" || got.Count != 3 || got.Ratio != 0.5 || got.On || got.Wait != 30*time.Second ||
		len(got.Ports) != 2 || got.Peer.Port() != 80 || got.Label != "on box1" || got.Token.Reveal() != "hush" ||
		got.Nested != (nested{Low: -4, High: 9}) || got.private != 5 {
		t.Errorf("got %+v", got)
	}
}

func TestLoadEmptyIsAValueWhereAllowed(t *testing.T) {
	var got sample
	if err := config.Load(&got, []string{"SAMPLE_PATH=x", "SAMPLE_LABEL="}); err != nil {
		t.Fatal(err)
	}
	if got.Label != "" {
		t.Errorf("label %q, want it empty", got.Label)
	}
}

func TestLoadReportsEveryFaultAtOnce(t *testing.T) {
	err := config.Load(new(sample), []string{
		"SAMPLE_PATH=", "SAMPLE_COUNT=many", "SAMPLE_SMALL=300", "SAMPLE_RATIO=half", "SAMPLE_ON=yes", "SAMPLE_WAIT=30",
		"SAMPLE_PORTS=80,http", "SAMPLE_PEER=here", "SAMPLE_LOW=10",
	})
	want := `9 settings are wrong:
  SAMPLE_PATH: required but not set. File to follow.
  SAMPLE_COUNT: "many" is not a whole number
  SAMPLE_SMALL: "300" is out of range
  SAMPLE_RATIO: "half" is not a number
  SAMPLE_ON: "yes" is neither true nor false
  SAMPLE_WAIT: "30" is not a duration such as 30s, 5m or 1h30m
  SAMPLE_PORTS: "80,http" is not a comma-separated list of int
  SAMPLE_PEER: "here": not an ip:port
  SAMPLE_LOW: 10 is above SAMPLE_HIGH, 9`
	var faults *config.Errors
	if !errors.As(err, &faults) || err.Error() != want {
		t.Errorf("got %v\nwant %v", err, want)
	}
}

type rate struct {
	PerMinute int            `env:"SAMPLE_RATE, default=10"`
	Severity  proto.Severity `env:"SAMPLE_SEVERITY, default=medium"`
}

func (r rate) Validate() error { return config.Between("SAMPLE_RATE", r.PerMinute, 1, 60) }

func TestLoadKeepsTheFirstFaultOfAKey(t *testing.T) {
	var cfg rate
	err := config.Load(&cfg, []string{"SAMPLE_RATE=ten"})
	want := "1 setting is wrong:\n  SAMPLE_RATE: \"ten\" is not a whole number"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

type keyless struct {
	First  half
	Second half
}

type half struct{}

var errHalf = errors.New("half a thing")

func (half) Validate() error { return errors.Join(errHalf, errors.New("no other half")) }

func TestLoadFaultsWithoutAKey(t *testing.T) {
	err := config.Load(new(keyless), nil)
	if want := "2 settings are wrong:\n  half a thing\n  no other half"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %v", err, want)
	}
	if !errors.Is(err, errHalf) {
		t.Error("the cause is not found by errors.Is")
	}
}

func TestLoadRefusesWrongDeclarations(t *testing.T) {
	tests := map[string]any{
		"not a pointer":      sample{},
		"pointer to a basic": new(int),
		"unexported": &struct {
			hidden string `env:"SAMPLE_HIDDEN"`
		}{hidden: "x"},
		"no name": &struct {
			Name string `env:",required"`
		}{},
		"bad default": &struct {
			Count int `env:"SAMPLE_COUNT, default=many"`
		}{},
		"unknown option": &struct {
			Count int `env:"SAMPLE_COUNT, mandatory"`
		}{},
	}
	for name, dst := range tests {
		t.Run(name, func(t *testing.T) {
			if err := config.Load(dst, nil); err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestLoadClipsLongValues(t *testing.T) {
	err := config.Load(new(rate), []string{"SAMPLE_RATE=" + strings.Repeat("x", 1<<20)})
	if err == nil || len(err.Error()) > 300 {
		t.Errorf("message of %d bytes", len(err.Error()))
	}
}

func FuzzLoadShowsNoSecret(f *testing.F) {
	for _, seed := range []string{"", "123:abc", "SUAM", "sk-ant-x\n", "%s", "a,b", "\x00\xff", "$HOME", "nats://u:p@h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		secret := "zq7Xk" + value
		var cfg struct {
			NATS  config.NATS
			Token config.Secret `env:"SAMPLE_TOKEN"`
		}
		err := config.Load(&cfg, []string{
			"NATS_NKEY_SEED=" + secret, "SAMPLE_TOKEN=" + secret,
			"NATS_URL=nats://me:" + secret + "@127.0.0.1",
		})
		if err == nil {
			t.Fatal("got no error")
		}
		if strings.Contains(err.Error(), "zq7Xk") {
			t.Errorf("the message shows the secret: %v", err)
		}
	})
}
