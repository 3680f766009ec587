package check

import (
	"strings"
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                  "0s",
		59 * time.Second:              "59s",
		time.Hour - time.Second:       "59m",
		time.Hour + 5*time.Minute:     "1h05m",
		48*time.Hour - time.Second:    "47h59m",
		14*24*time.Hour + time.Second: "14 days",
	} {
		if got := Span(d); got != want {
			t.Errorf("Span(%s) = %q, want %q", d, got, want)
		}
	}
}

// TestForeignText: what comes from outside can neither color the terminal nor
// fill it.
func TestForeignText(t *testing.T) {
	var f List
	f.Add("a\x1b[31mb\nc", Good, "%s", "x\x1b]0;title\a\u202e"+strings.Repeat("y", 5000))
	if got := f.All[0]; strings.ContainsAny(got.Subject+got.Text, "\x1b\a\n\u202e") || len([]rune(got.Text)) > textLimit+1 {
		t.Errorf("%q", got)
	}
}

func TestAssume(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:9600": "http://127.0.0.1:9600",
		"0.0.0.0:9600":   "http://127.0.0.1:9600",
		":9600":          "http://127.0.0.1:9600",
		"[::1]:9600":     "http://[::1]:9600",
		"127.0.0.1:0":    "",
		"":               "",
	} {
		var got string
		if at := Assume("x", addr); at != nil {
			got = at.URL
		}
		if got != want {
			t.Errorf("%q: %q, want %q", addr, got, want)
		}
	}
}

func TestParseEndpoint(t *testing.T) {
	for _, test := range []struct {
		name, value string
		want        Endpoint
		fails       bool
	}{
		{"an address", "box:9600", Endpoint{Name: "box:9600", URL: "http://box:9600"}, false},
		{"a name", "shipper=box:9600", Endpoint{Name: "shipper", URL: "http://box:9600"}, false},
		{"a URL", "https://box/", Endpoint{Name: "box", URL: "https://box"}, false},
		{"nothing", "", Endpoint{}, true},
		{"another scheme", "x=ftp://box", Endpoint{}, true},
		{"a password", "http://me:pass@box", Endpoint{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseEndpoint("--admin", test.value)
			if got != test.want || (err != nil) != test.fails {
				t.Errorf("%+v, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), "pass") && !strings.Contains(err.Error(), "password") {
				t.Errorf("a password is shown: %v", err)
			}
		})
	}
}
