package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/openclaw-security/bus/proto"
)

// identity is a role, who holds its key, and what it may do of what others may
// not.
type identity struct {
	role, holder string
	publish      []string // of the subjects of all, those that it may publish to
	subscribe    []string // of the subjects of all, those that it may subscribe to
	harmless     string   // what it may publish without changing anything
}

// ingestAlert and ingestEvent are subjects that a source publishes to.
func ingestAlert(source string) string {
	kinds := map[string]string{"proxy": "guard", "notifier": "source-silent", "auditor": "new-log"}
	return proto.NewSubject(host, source, cmp.Or(kinds[source], "alert"), proto.SeverityHigh).Ingest()
}

func ingestEvent(source string) string {
	kinds := map[string]string{"auditor": "checkpoint"}
	return proto.NewSubject(host, source, cmp.Or(kinds[source], proto.KindOther), proto.SeverityInfo).Ingest()
}

// identities are all roles of the stack. What each may publish, nobody else may
// unless it says so as well.
func identities() []identity {
	const (
		tailed   = proto.StoredPrefix + ".>"
		replayed = proto.ReplayPrefix + ".>"
	)
	silences := proto.StateSubject(proto.KeySilences)
	alerts, events := proto.AlertsStream("suricata"), proto.EventsStream("suricata")
	const (
		list   = "$JS.API.CONSUMER.LIST."
		info   = "$JS.API.STREAM.INFO."
		next   = "$JS.API.CONSUMER.MSG.NEXT."
		direct = "$JS.API.DIRECT.GET."
		update = "$JS.API.STREAM.UPDATE."
	)
	read := []string{direct + alerts, direct + events}
	return []identity{
		{role: "provisioner", holder: "provisioner", publish: []string{update + alerts, update + events, list + alerts}, harmless: info + alerts},
		// Where it stands it reads in the streams of its source.
		{role: "shipper-suricata", holder: "shipper-suricata", publish: append([]string{ingestAlert("suricata"), ingestEvent("suricata")}, read...), harmless: info + alerts},
		{role: "shipper-tracee", holder: "shipper-tracee", publish: []string{ingestAlert("tracee"), ingestEvent("tracee")}, harmless: info + proto.EventsStream("tracee")},
		{role: "proxy", holder: "proxy", publish: []string{ingestAlert("proxy"), proto.IngestPrefix + ".audit." + host + ".proxy.request.info"}, harmless: info + proto.StreamAudit},
		{role: "notifier", holder: "notifier", publish: append([]string{proto.DeliveriesSubject(sinkA), next + alerts + "." + proto.DurableNotifierStdout, silences, list + alerts, ingestAlert("notifier")}, read...), harmless: info + alerts},
		{role: "auditor", holder: "auditor", publish: []string{ingestAlert("auditor"), ingestEvent("auditor"), next + proto.StreamAudit + "." + proto.DurableAuditor}, harmless: info + proto.StreamAudit},
		{role: "tail", holder: "operator", publish: read, subscribe: []string{tailed, replayed}, harmless: direct + alerts},
		{role: "operator", holder: "operator", publish: append([]string{silences, list + alerts}, read...), subscribe: []string{tailed}, harmless: "$JS.API.INFO"},
		{role: "replay", holder: "operator", publish: []string{proto.ReplayPrefix + ".security.alert.x"}, harmless: proto.ReplayPrefix + ".security.alert.x"},
	}
}

// forbidden are subjects that nobody may use.
func forbidden() (publish, subscribe []string) {
	stored := proto.NewSubject(host, "suricata", "alert", proto.SeverityHigh).Stored()
	publish = []string{
		stored, ingestAlert("falco"), ingestEvent("falco"),
		proto.NewSubject(host, "suricata", "made-up", proto.SeverityHigh).Ingest(), proto.NewSubject(host, "proxy", "made-up", proto.SeverityHigh).Ingest(),
		strings.Replace(ingestAlert("suricata"), host, "box2", 1), strings.Replace(ingestEvent("suricata"), host, "box2", 1),
		"$JS.API.STREAM.DELETE." + proto.AlertsStream("suricata"), "$JS.API.STREAM.PURGE." + proto.EventsStream("suricata"), "$JS.API.STREAM.PURGE." + proto.StreamAudit,
		"$JS.API.STREAM.MSG.DELETE." + proto.StreamAudit, "$SYS.REQ.SERVER.PING", "_INBOX_tail.x",
	}
	return publish, []string{">", proto.IngestPrefix + ".>", "_INBOX.>", "$JS.>", "$SYS.>"}
}

// Each key opens its own door and no other, and without one there is none.
func TestRolesAreRefusedWhatIsNotTheirs(t *testing.T) {
	r := newRig(t, 4*time.Minute, setup{})
	all := identities()
	publish, subscribe := forbidden()
	for _, id := range all {
		publish = append(publish, id.publish...)
		subscribe = append(append(subscribe, id.subscribe...), "_INBOX_"+id.role+".>")
	}
	slices.Sort(publish)
	slices.Sort(subscribe)
	publish, subscribe = slices.Compact(publish), slices.Compact(subscribe)
	refused := 0
	for _, id := range all {
		nc, err := r.dial(id.role, r.seed(id.holder, id.role), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatalf("connecting as %s: %v", id.role, err)
		}
		defer nc.Close()
		if err := denial(nc, id.harmless, func() error { return nc.PublishRequest(id.harmless, nc.NewInbox(), nil) }); err != nil {
			t.Errorf("%s may not publish %s: %v", id.role, id.harmless, err)
		}
		for _, subject := range publish {
			if slices.Contains(id.publish, subject) {
				continue
			}
			if err := denial(nc, subject, func() error { return nc.Publish(subject, nil) }); err == nil {
				t.Errorf("%s may publish %s", id.role, subject)
			}
			refused++
		}
		own := append([]string{"_INBOX_" + id.role + ".>"}, id.subscribe...)
		for _, subject := range subscribe {
			err := denial(nc, subject, func() error { _, err := nc.SubscribeSync(subject); return err })
			if may := slices.Contains(own, subject); may != (err == nil) {
				t.Errorf("%s subscribes to %s: allowed %t, want %t", id.role, subject, err == nil, may)
			}
			refused++
		}
	}
	t.Logf("%d roles, %d attempts", len(all), refused)
	r.refuseStrangers()
	r.hideState()
}

// denial makes an attempt and returns the server's refusal of this subject, nil
// if it did not refuse.
func denial(nc *nats.Conn, subject string, attempt func() error) error {
	if err := attempt(); err != nil {
		return fmt.Errorf("not tried: %w", err)
	}
	// The server answers in order: a refusal is here before the flush's answer.
	if err := nc.Flush(); err != nil {
		return fmt.Errorf("not told: %w", err)
	}
	err := nc.LastError()
	if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `"`+subject+`"`) {
		return err
	}
	return nil
}

// refuseStrangers checks that nobody gets in without one of the keys.
func (r *rig) refuseStrangers() {
	r.t.Helper()
	stranger, err := nkeys.CreateUser()
	if err != nil {
		r.t.Fatal(err)
	}
	for name, key := range map[string]nkeys.KeyPair{"without a key": nil, "with a key of their own": stranger} {
		if nc, err := r.dial("tail", key); !errors.Is(err, nats.ErrAuthorization) {
			r.t.Errorf("somebody %s gets %v, %v", name, nc, err)
		}
	}
}

// hideState checks that nobody on the server's networks can read its state.
func (r *rig) hideState() {
	r.t.Helper()
	inspect, err := r.units["nats"].Inspect(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	for name, n := range inspect.NetworkSettings.Networks {
		reach := func(port string) error {
			c, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(r.ctx, "tcp", net.JoinHostPort(n.IPAddress.String(), port))
			if err == nil {
				c.Close()
			}
			return err
		}
		if err := reach("4222"); err != nil {
			r.t.Logf("network %s cannot be reached from here, which leaves its ports unchecked: %v", name, err)
			continue
		}
		if reach("8222") == nil {
			r.t.Errorf("the monitoring port answers on network %s", name)
		}
	}
}
