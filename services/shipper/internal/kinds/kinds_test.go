package kinds_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/kinds"
	"github.com/openclaw-security/bus/services/shipper/internal/mapping"
)

const root = "../../../.."

func TestSubject(t *testing.T) {
	for _, tt := range []struct{ source, kind, want string }{
		{"suricata", "alert", "alert"},
		{"suricata", "Some New/Type", "other"},
		{"suricata", "sched_process_exec", "other"},
		{"suricata", "ftp_data", "ftp_data"},
		{"tracee", "sched_process_exec", "sched_process_exec"},
		{"tracee", "my_signature", "other"},
		{"zeek", "conn", "conn"},
		{"sshd", "login", "login"},
		{"sshd", strings.Repeat("x", 100), "other"},
		{"sshd", proto.KindGap, proto.KindGap},
		{"tracee", "", "unknown"},
	} {
		e := &proto.Event{Host: "box1", Source: tt.source, Kind: tt.kind}
		if got := kinds.SetOf(tt.source).Subject(e); got.Kind != tt.want || e.Kind != tt.kind {
			t.Errorf("%s of %s is published as %s, want %s", tt.kind, tt.source, got.Kind, tt.want)
		}
	}
}

// What one source costs the memory of the server is bounded: every kind has five
// subjects, of some hundred bytes each.
func TestFewKinds(t *testing.T) {
	for _, source := range []string{"suricata", "tracee", "other"} {
		of := kinds.Of(source)
		if len(of) > 128 || !slices.IsSorted(of) {
			t.Errorf("%s has %d kinds", source, len(of))
		}
		for _, kind := range of {
			if kind != proto.Slug(kind) {
				t.Errorf("kind %q of %s is no token", kind, source)
			}
		}
	}
}

// What the shipped policies have Tracee report, and the kinds of the normalizers'
// recorded records, are known.
func TestShippedPoliciesAreKnown(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "tracee", "[pn]*", "*.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%d policies, %v", len(files), err)
	}
	known := kinds.Of("tracee")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var policy struct {
			Spec struct {
				Rules []struct {
					Event string `yaml:"event"`
				} `yaml:"rules"`
			} `yaml:"spec"`
		}
		if err := yaml.Unmarshal(text, &policy); err != nil {
			t.Fatal(err)
		}
		if len(policy.Spec.Rules) == 0 {
			t.Errorf("%s has no rules", file)
		}
		for _, rule := range policy.Spec.Rules {
			if !slices.Contains(known, rule.Event) {
				t.Errorf("%s reports %s, which is not known", file, rule.Event)
			}
		}
	}
}

// The records of the shipped mappings' tests arrive under their own kinds.
func TestShippedMappingsAreKnown(t *testing.T) {
	records := 0
	for _, name := range []string{"falco", "zeek", "openclaw-gateway", "openclaw-posture"} {
		sensor, err := mapping.Load(filepath.Join(root, "mappings", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join("..", "mapping", "testdata", name+"*.json*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range bytes.Lines(text) {
				var e proto.Event
				if !json.Valid(line) || sensor.Decode(line, &e) != nil || e.Kind == "" {
					continue
				}
				records++
				if kind := kinds.SetOf(name).Subject(&e).Kind; kind != proto.Slug(e.Kind) {
					t.Errorf("%s: a record of kind %s is published as %s", file, e.Kind, kind)
				}
			}
		}
	}
	if records < 10 {
		t.Errorf("only %d records were looked at", records)
	}
}
