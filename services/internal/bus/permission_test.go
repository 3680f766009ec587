package bus_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// Forging is impossible, part 1: no role can publish or hear anything that it
// has no grant for, and it is told so.
func TestNoRoleActsAsAnother(t *testing.T) {
	b := bustest.Start(t)
	for _, role := range b.Roles() {
		t.Run(role.Name, func(t *testing.T) {
			t.Parallel()
			c := b.Conn(t, role.Name)
			publishes := []string{
				proto.NewSubject(bustest.Host, bustest.Suricata, "alert", proto.SeverityCritical).Stored(),
				"$JS.API.STREAM.DELETE." + eventStream,
				"$JS.API.STREAM.PURGE." + eventStream,
				"$JS.API.CONSUMER.DELETE." + alertStream + "." + proto.DurableNotifierStdout,
			}
			subscribes := []string{">", "_INBOX.>", "$JS.>", proto.IngestPrefix + ".>"}
			for _, other := range b.Roles() {
				for _, pattern := range sample(other.Publish) {
					if subject := instance(pattern); !allowed(role.Publish, subject) {
						publishes = append(publishes, subject)
					}
				}
				for _, pattern := range other.Subscriptions() {
					if !allowed(role.Subscriptions(), pattern) {
						subscribes = append(subscribes, pattern)
					}
				}
			}
			for _, subject := range publishes {
				err := c.Publish(deadlineContext(t), nats.NewMsg(subject))
				checkDenied(t, err, role.Name, "publish", subject)
			}
			for _, subject := range subscribes {
				_, err := c.Live(deadlineContext(t), subject)
				checkDenied(t, err, role.Name, "subscribe", subject)
			}
		})
	}
}

// No role makes up subjects of a stream: each one costs the server memory for as long as
// a message is stored under it.
func TestNoRoleMakesUpSubjects(t *testing.T) {
	b := bustest.Start(t)
	for _, role := range b.Roles() {
		var made []string
		for _, subject := range sample(role.Publish) {
			s, err := proto.ParseSubject(subject)
			if err != nil || !strings.HasPrefix(subject, proto.IngestPrefix) {
				continue
			}
			prefix := strings.Join([]string{proto.IngestPrefix, string(s.Class), s.Host, s.Source}, ".")
			made = append(made, prefix+".made-up."+s.Severity.String(), prefix+".other.made-up", prefix+".other", prefix, subject+".more",
				strings.Replace(prefix, "."+s.Host+".", ".made-up.", 1)+".other."+s.Severity.String())
			if s.Class != proto.ClassAudit {
				other := map[proto.Class]string{proto.ClassAlert: "info", proto.ClassEvent: "critical"}[s.Class]
				made = append(made, strings.Join([]string{prefix, s.Kind, other}, "."))
			}
		}
		c := b.Conn(t, role.Name)
		for _, subject := range made {
			checkDenied(t, c.Publish(deadlineContext(t), nats.NewMsg(subject)), role.Name, "publish", subject)
		}
		if _, isSource := strings.CutPrefix(role.Name, "shipper-"); isSource && len(made) < 14 {
			t.Errorf("only %d subjects were made up for %s", len(made), role.Name)
		}
	}
}

// A key of the state bucket is set, read and watched by the roles that it concerns
// and by no other. Above all nobody may make requests of a service who is not named.
func TestStateGrants(t *testing.T) {
	b := bustest.Start(t)
	key := proto.KeyRequest
	tests := map[string]struct {
		role string
		key  string
		may  bool // set it
	}{
		"the operator makes requests of the notifier":      {bus.RoleOperator, key(bus.RoleNotifier, "x"), true},
		"the operator makes none of another service":       {bus.RoleOperator, key("responder", "x"), false},
		"the operator sets no list of the first version":   {bus.RoleOperator, "requests.telegram-1", false},
		"the operator silences":                            {bus.RoleOperator, proto.KeySilences, true},
		"the operator sets no plan":                        {bus.RoleOperator, proto.KeyDelivery("telegram-1"), false},
		"the notifier stores outcomes of its own requests": {bus.RoleNotifier, key(bus.RoleNotifier, "x"), true},
		"the notifier makes no request of another service": {bus.RoleNotifier, key("responder", "x"), false},
		"the notifier sets no list of the first version":   {bus.RoleNotifier, "requests.telegram-1", false},
		"the notifier sets no other key":                   {bus.RoleNotifier, "stop", false},
		"tail makes no requests":                           {bus.RoleTail, key(bus.RoleNotifier, "x"), false},
		"tail does not silence":                            {bus.RoleTail, proto.KeySilences, false},
		"the auditor makes no requests":                    {bus.RoleAuditor, key(bus.RoleNotifier, "x"), false},
		"the proxy does not silence":                       {bus.RoleProxy, proto.KeySilences, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := b.Conn(t, tt.role).Put(deadlineContext(t), tt.key, []byte("[]"), 0)
			switch {
			case tt.may && err != nil && !errors.Is(err, bus.ErrFenced):
				t.Errorf("got %v", err)
			case !tt.may:
				checkDenied(t, err, tt.role, "publish", proto.StateSubject(tt.key))
			}
		})
	}
	for role, others := range map[string][]string{
		bus.RoleNotifier: {key("responder", ">"), ">", "requests.>"},
		bus.RoleOperator: {key("responder", ">"), ">", "requests.>", "delivery.>"},
		bus.RoleTail:     {key(bus.RoleNotifier, ">"), proto.KeySilences},
	} {
		for _, pattern := range others {
			_, err := b.Conn(t, role).Live(deadlineContext(t), proto.StateChangeSubject(pattern))
			checkDenied(t, err, role, "subscribe", proto.StateChangeSubject(pattern))
		}
	}
	_, _, err := b.Conn(t, bus.RoleNotifier).Get(deadlineContext(t), key("responder", "x"))
	checkDenied(t, err, bus.RoleNotifier, "publish", "$JS.API.DIRECT.GET."+proto.StreamRequests+"."+proto.StateSubject(key("responder", "x")))
}

// A role that may set a key of the state bucket removes no other: not by a header of the
// message, nor by the server's API.
func TestNoRoleEmptiesState(t *testing.T) {
	b := bustest.Start(t)
	notifier := b.Conn(t, bus.RoleNotifier)
	plan := proto.KeyDelivery("telegram-1")
	if _, err := notifier.Put(deadlineContext(t), plan, []byte("a plan"), 0); err != nil {
		t.Fatal(err)
	}
	for _, role := range b.Roles() {
		t.Run(role.Name, func(t *testing.T) {
			c := b.Conn(t, role.Name)
			for _, pattern := range role.Publish {
				subject := instance(pattern)
				if !strings.HasPrefix(subject, "$KV.") {
					continue
				}
				for _, scope := range []string{"all", "sub"} {
					msg := nats.NewMsg(subject)
					msg.Header.Set("Nats-Rollup", scope)
					if err := c.Publish(deadlineContext(t), msg); err == nil {
						t.Errorf("a rollup (%s) of %s is stored", scope, subject)
					}
				}
			}
			for _, action := range []string{"PURGE.", "DELETE.", "MSG.DELETE.", "SNAPSHOT.", "RESTORE."} {
				subject := "$JS.API.STREAM." + action + proto.StreamState
				checkDenied(t, c.Publish(deadlineContext(t), nats.NewMsg(subject)), role.Name, "publish", subject)
			}
			if have, _, err := notifier.Get(deadlineContext(t), plan); string(have) != "a plan" {
				t.Errorf("the plan is %q, %v", have, err)
			}
		})
	}
}

func checkDenied(t *testing.T, err error, role, op, subject string) {
	t.Helper()
	var e *bus.PermissionError
	if !errors.As(err, &e) || *e != (bus.PermissionError{Role: role, Op: op, Subject: subject}) {
		t.Errorf("%s to %s: got %v", op, subject, err)
	}
}

// Forging is impossible, part 2: the server sends its reply to any reply
// subject a request names, with its own rights. No role can have it do that
// where another role would see it.
func TestNoRoleHasTheServerForge(t *testing.T) {
	b := bustest.Start(t)
	shipper := b.Conn(t, bus.ShipperRole(bustest.Tracee))
	event := func(id string) {
		t.Helper()
		if err := shipper.Publish(deadlineContext(t), message(bustest.Tracee, proto.SeverityInfo, id)); err != nil {
			t.Fatal(err)
		}
	}
	event("bait")
	listeners := map[string]*nats.Subscription{bus.RoleTail: nil, bus.RoleOperator: nil}
	for role := range listeners {
		listeners[role] = listen(t, b.Raw(t, role))
	}
	for _, role := range b.Roles() {
		if role.Name == bus.RoleProvisioner {
			continue // decides what is stored in any case
		}
		nc := b.Raw(t, role.Name)
		for _, target := range []string{
			"ingest.alert." + bustest.Host + "." + bustest.Suricata + ".by-" + role.Name + ".critical",
			"security.alert." + bustest.Host + "." + bustest.Suricata + ".by-" + role.Name + ".critical",
			"ingest.audit." + bustest.Host + ".proxy.by-" + role.Name + ".critical",
		} {
			if !allowed(role.Publish, target) {
				requestFor(t, nc, sample(role.Publish), target)
			}
		}
	}
	event("done")

	for role, sub := range listeners {
		for _, subject := range subjectsUntil(t, sub, "done") {
			if _, by, forged := strings.Cut(subject, ".by-"); forged && by != role+".critical" {
				t.Errorf("%s sees %s", role, subject)
			}
		}
	}
	for _, stream := range []string{eventStream, proto.StreamAudit} {
		for s, err := range b.Conn(t, bus.RoleTail).History(deadlineContext(t), stream, proto.StoredPrefix+".>", bus.Start{}) {
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(s.Subject, ".by-") {
				t.Errorf("stored is %s: %s", s.Subject, s.Data)
			}
		}
	}
}

// requestFor makes every request that the grants allow, to be answered to target.
func requestFor(t *testing.T, nc *nats.Conn, grants []string, target string) {
	t.Helper()
	for _, pattern := range grants {
		// The pattern itself is how a wildcard's last message is asked for.
		for _, subject := range []string{instance(pattern), pattern} {
			for _, body := range []string{"", `{"seq":1,"batch":1}`, `{"batch":1,"no_wait":true}`} {
				if err := nc.PublishRequest(subject, target, []byte(body)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		t.Fatal(err)
	}
}

// listen is what `nats sub 'security.>'` does.
func listen(t *testing.T, nc *nats.Conn) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(proto.StoredPrefix + ".>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		t.Fatal(err)
	}
	return sub
}

// subjectsUntil returns the subjects of what came before the event named id.
func subjectsUntil(t *testing.T, sub *nats.Subscription, id string) []string {
	t.Helper()
	var subjects []string
	for {
		m, err := sub.NextMsg(deadline)
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get(proto.HeaderEventID) == id {
			return subjects
		}
		subjects = append(subjects, m.Subject)
	}
}

// A publisher can put any header on its messages. What the server states about
// them must not be taken from there.
func TestHeadersDoNotForge(t *testing.T) {
	b := bustest.Start(t)
	f := armedAlerts(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
	claims := map[string]string{
		"Nats-Subject":         "security.alert.box1.suricata.alert.critical",
		"Nats-Stream":          "ELSEWHERE",
		"Nats-Sequence":        "4711",
		"Nats-Time-Stamp":      "1999-01-01T00:00:00Z",
		"Status":               "409",
		"Description":          "Consumer Deleted",
		proto.HeaderDeadReason: "a lie",
	}
	tail := b.Conn(t, bus.RoleTail)
	ctx := deadlineContext(t)
	live, err := tail.Live(ctx, proto.StoredPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	m := message(bustest.Tracee, proto.SeverityHigh, "claims")
	m.Data = nil
	for k, v := range claims {
		m.Header.Set(k, v)
	}
	publish(t, f, m)
	want := strings.Replace(m.Subject, proto.IngestPrefix, proto.StoredPrefix, 1)
	seen, err := live.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	check := func(how string, s *bus.Stored) {
		t.Helper()
		if s == nil || s.Subject != want || s.Stream != alertStream || s.Sequence == 4711 || s.Time.Year() == 1999 {
			t.Errorf("%s: %+v", how, s)
		}
	}
	check("live", seen)
	last, err := f.Last(ctx)
	if err != nil {
		t.Fatal(err)
	}
	check("last", last)
	n := 0
	for s, err := range tail.History(ctx, alertStream, proto.StoredPrefix+".>", bus.Start{}) {
		if err != nil {
			t.Fatal(err)
		}
		check("history", s)
		n++
	}
	if uint64(n) != last.Sequence {
		t.Errorf("history has %d of %d messages", n, last.Sequence)
	}
	msgs, err := bind(t, b).Fetch(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if m := msgs[0]; m.Subject != want || m.Deliveries != 1 || m.Stored.Year() == 1999 {
		t.Errorf("fetched: %+v", m)
	}
}

// sample leaves out of subjects to publish to all kinds of a source and class but one.
func sample(subjects []string) []string {
	seen := make(map[string]bool)
	return slices.DeleteFunc(slices.Clone(subjects), func(subject string) bool {
		s, err := proto.ParseSubject(subject)
		of := fmt.Sprint(s.Class, s.Host, s.Source)
		again := err == nil && seen[of]
		seen[of] = true
		return again
	})
}

// instance is a subject that a pattern matches.
func instance(pattern string) string {
	tokens := strings.Split(pattern, ".")
	for i, t := range tokens {
		if t == "*" || t == ">" {
			tokens[i] = "x"
		}
	}
	return strings.Join(tokens, ".")
}

// allowed reports whether one of the patterns covers subject.
func allowed(patterns []string, subject string) bool {
	for _, p := range patterns {
		if covers(strings.Split(p, "."), strings.Split(subject, ".")) {
			return true
		}
	}
	return false
}

func covers(pattern, subject []string) bool {
	for i, p := range pattern {
		if p == ">" {
			return len(subject) > i
		}
		if i >= len(subject) || p != "*" && p != subject[i] {
			return false
		}
	}
	return len(pattern) == len(subject)
}
