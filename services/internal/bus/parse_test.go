package bus

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestParseViolation(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want *PermissionError
	}{
		"publish":         {`Permissions Violation for Publish to "a.b"`, &PermissionError{"r", "publish", "a.b"}},
		"subscription":    {`Permissions Violation for Subscription to "a.>"`, &PermissionError{"r", "subscribe", "a.>"}},
		"with what after": {`Permissions Violation for Subscription to "a.>" using queue "q"`, &PermissionError{"r", "subscribe", "a.>"}},
		"quoted":          {`Permissions Violation for Publish to "a.\"b"`, &PermissionError{"r", "publish", `a."b`}},
		"of a reply":      {`Permissions Violation for Publish with Reply of "a"`, nil},
		"cut":             {`Permissions Violation for Publish to "a`, nil},
		"something else":  {`Permissions Violation`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseViolation("r", fmt.Errorf("%w: %s", nats.ErrPermissionViolation, test.text))
			if (got == nil) != (test.want == nil) || got != nil && *got != *test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	if got := parseViolation("r", errors.New(`Permissions Violation for Publish to "a.b"`)); got != nil {
		t.Errorf("got %+v of another error", got)
	}
}

func FuzzParseViolation(f *testing.F) {
	f.Add(`Permissions Violation for Publish to "ingest.alert.box1.tracee.x.high"`)
	f.Add(`Permissions Violation for Subscription to "_INBOX_tail.>" using queue "q" (sid "1")`)
	f.Fuzz(func(t *testing.T, text string) {
		e := parseViolation("r", fmt.Errorf("%w: %s", nats.ErrPermissionViolation, text))
		if e != nil && (e.Op != "publish" && e.Op != "subscribe" || e.Error() == "") {
			t.Errorf("%+v", e)
		}
	})
}

func FuzzParseAck(f *testing.F) {
	f.Add([]byte(`{"stream":"SECURITY","seq":3,"batch":"x","count":2}`))
	f.Add([]byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"SECURITY","seq":0}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseAck(data)
		switch {
		case err != nil && a != nil, err == nil && a == nil:
			t.Errorf("%+v with error %v", a, err)
		case err == nil && a.Error == nil && (a.Stream == "" || a.Sequence == 0):
			t.Errorf("an acknowledgement of nothing: %+v", a)
		case err == nil && a.Error != nil && refusal(a.Error) == nil:
			t.Error("a refusal without error")
		}
	})
}

func FuzzParseStored(f *testing.F) {
	f.Add("SECURITY", "security.event.a.b.c.info", "7", "2026-01-02T03:04:05.678Z", "")
	f.Add("", "", "", "", "404")
	f.Add("SECURITY", "s", "-1", "", "204")
	f.Fuzz(func(t *testing.T, stream, subject, seq, at, status string) {
		m := nats.NewMsg("inbox")
		for k, v := range map[string]string{"Nats-Stream": stream, "Nats-Subject": subject, "Nats-Sequence": seq, "Nats-Time-Stamp": at, "Status": status} {
			m.Header[k] = []string{"claimed", v}
		}
		s, err := parseStored(m)
		if (s == nil) == (err == nil) {
			t.Fatalf("%+v with error %v", s, err)
		}
		if s != nil && (s.Stream != stream || s.Subject != subject || fmt.Sprint(s.Sequence) == "claimed") {
			t.Errorf("%+v", s)
		}
	})
}
