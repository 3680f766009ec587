package e2e

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
)

// A cluster of three loses one server after another under load, each time the
// one that leads: by being stopped, and by being killed. While each catches up,
// the publishers are killed and look up where they stand.
func TestClusterSurvivesItsServers(t *testing.T) {
	r := newRig(t, 7*time.Minute, setup{cluster: []string{"nats-1", "nats-2", "nats-3"}})
	nc := r.connect("operator")
	r.awaitReplicas(nc)
	l := r.startLoad()
	for _, lost := range []struct{ how, stream string }{
		{"stopped", proto.AlertsStream("suricata")},
		{"killed", proto.EventsStream("suricata")},
		{"stopped", proto.EventsStream("suricata")},
	} {
		pass(r.ctx, 2*time.Second)
		leader := r.units[r.leader(nc, lost.stream)]
		if lost.how == "killed" {
			r.kill(leader)
		} else {
			r.stop(leader)
		}
		begun := time.Now()
		next := ""
		await(r.ctx, t, "another leader", func() (bool, string) {
			var err error
			next, err = leaderOf(nc, lost.stream)
			return err == nil && next != "" && next != leader.name, fmt.Sprintf("%q, %v", next, err)
		})
		t.Logf("%s was %s, and %s leads %s after %s", leader.name, lost.how, next, lost.stream, time.Since(begun).Round(10*time.Millisecond))
		pass(r.ctx, outage)
		r.start(leader)
		// Where they stand, publishers that start now may be told by the server that
		// is still behind.
		for range 2 {
			for _, name := range []string{"shipper-suricata", "shipper-tracee", "proxy"} {
				r.kill(r.units[name])
				r.start(r.units[name])
			}
		}
		r.awaitHealthy(leader)
		r.awaitReplicas(nc)
		t.Logf("%s has caught up %s after it went", leader.name, time.Since(begun).Round(10*time.Millisecond))
	}
	for _, u := range r.ours() {
		r.awaitHealthy(u)
	}
	r.judge(l)
}

// streams are those of a stack with both sensors.
func streams() []string {
	names := []string{
		proto.AlertsStream("suricata"), proto.EventsStream("suricata"),
		proto.AlertsStream("tracee"), proto.EventsStream("tracee"),
		proto.AlertsStream("proxy"), proto.AlertsStream("auditor"), proto.AlertsStream("notifier"),
	}
	for _, s := range proto.Streams() {
		names = append(names, s.Name)
	}
	return names
}

// streamInfo is what the server says of a stream.
type streamInfo struct {
	Config struct {
		Replicas int `json:"num_replicas"`
	} `json:"config"`
	State struct {
		Messages uint64    `json:"messages"`
		First    time.Time `json:"first_ts"`
	} `json:"state"`
	Cluster struct {
		Leader   string `json:"leader"`
		Replicas []struct {
			Name    string `json:"name"`
			Current bool   `json:"current"`
			Offline bool   `json:"offline"`
			Lag     uint64 `json:"lag"`
		} `json:"replicas"`
	} `json:"cluster"`
	Error *struct {
		Description string `json:"description"`
	} `json:"error"`
}

// askStream asks the server about a stream.
func askStream(nc *nats.Conn, stream string) (info streamInfo, err error) {
	m, err := nc.Request("$JS.API.STREAM.INFO."+stream, nil, 2*time.Second)
	if err != nil {
		return info, err
	}
	if err := json.Unmarshal(m.Data, &info); err != nil {
		return info, err
	}
	if info.Error != nil {
		return info, fmt.Errorf("the server answers: %s", info.Error.Description)
	}
	return info, nil
}

// leaderOf is the server that leads a stream, empty while there is none.
func leaderOf(nc *nats.Conn, stream string) (string, error) {
	info, err := askStream(nc, stream)
	return info.Cluster.Leader, err
}

func (r *rig) leader(nc *nats.Conn, stream string) (name string) {
	r.t.Helper()
	await(r.ctx, r.t, "a leader of "+stream, func() (bool, string) {
		var err error
		name, err = leaderOf(nc, stream)
		return err == nil && name != "", fmt.Sprint(err)
	})
	return name
}

// awaitReplicas waits until each server has all of each stream.
func (r *rig) awaitReplicas(nc *nats.Conn) {
	r.t.Helper()
	await(r.ctx, r.t, "the replicas to be current", func() (bool, string) {
		for _, name := range streams() {
			info, err := askStream(nc, name)
			if err != nil {
				return false, fmt.Sprintf("%s: %v", name, err)
			}
			if info.Config.Replicas != len(r.cluster) || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != len(r.cluster)-1 {
				return false, fmt.Sprintf("%s: %+v", name, info)
			}
			for _, replica := range info.Cluster.Replicas {
				if !replica.Current || replica.Offline {
					return false, fmt.Sprintf("%s: %+v", name, info)
				}
			}
		}
		return true, ""
	})
}
