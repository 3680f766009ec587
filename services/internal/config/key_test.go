package config_test

import (
	"reflect"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
)

func TestKeys(t *testing.T) {
	var cfg struct {
		sample
		Sample sample
		Again  nested
	}
	want := []config.Key{
		{Name: "SAMPLE_PATH", Type: "string", Required: true, Doc: "File to follow."},
		{Name: "SAMPLE_COUNT", Type: "int", Default: "3"},
		{Name: "SAMPLE_SMALL", Type: "int"},
		{Name: "SAMPLE_RATIO", Type: "float", Default: "0.5"},
		{Name: "SAMPLE_ON", Type: "bool"},
		{Name: "SAMPLE_WAIT", Type: "duration", Default: "30s"},
		{Name: "SAMPLE_PORTS", Type: "list of int", Default: "1,2"},
		{Name: "SAMPLE_PEER", Type: "addrport"},
		{Name: "SAMPLE_LABEL", Type: "string", Default: "on $SAMPLE_HOST"},
		{Name: "SAMPLE_TOKEN", Type: "secret", Secret: true},
		{Name: "SAMPLE_LOW", Type: "int"},
		{Name: "SAMPLE_HIGH", Type: "int", Default: "9"},
	}
	for name, dst := range map[string]any{"value": cfg, "pointer": &cfg} {
		if got := config.Keys(dst); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, want)
		}
	}
}
