package tracee

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

var _ normalize.Sensor = Sensor{}

// Sensor reads Tracee's records.
type Sensor struct{}

// activity is a record without its format.
type activity struct {
	name      string
	process   proto.Process
	container proto.Container
	arguments
	detection *detection
}

// detection is what a signature says about an event.
type detection struct {
	rule      proto.Rule
	level     integer
	technique proto.Technique
}

// Decode implements [normalize.Sensor].
func (Sensor) Decode(line []byte, e *proto.Event, opts ...json.Options) error {
	var r record
	err := json.Unmarshal(line, &r, opts...)

	e.Time = r.time()
	a, argErr := r.activity(opts)
	e.Kind = a.name
	e.ClassUID = a.classUID()
	e.Severity = a.detection.severity()
	if d := a.detection; d != nil {
		e.Rule = &d.rule
		if d.technique != (proto.Technique{}) {
			e.MITRE = []proto.Technique{d.technique}
		}
	}
	a.process.Args = normalize.RedactArgs(a.argv)
	if a.process.Executable == "" && a.name == "sched_process_exec" {
		a.process.Executable = a.path
	}
	if p := a.process; p.Name != "" || p.PID != 0 || len(p.Args) > 0 {
		e.Process = &p
	}
	if a.container != (proto.Container{}) {
		e.Container = &a.container
	}
	if a.path != "" {
		e.File = &proto.File{Path: a.path}
	}
	if a.name == "bind" { // its addr is the local one
		a.src, a.dst = a.dst, a.src
	}
	e.Src, e.Dst = endpoint(a.src), endpoint(a.dst)
	e.DNS = a.dns
	e.Title = a.title(e)
	return cmp.Or(err, argErr)
}

// time reads either format's. Nanoseconds since 1970 pass 2^53, so they never
// go through a float.
func (r *record) time() time.Time {
	text := strings.Trim(string(r.Timestamp), `"`)
	if ns, err := strconv.ParseInt(text, 10, 64); err == nil && ns > 0 {
		return time.Unix(0, ns)
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

func (r *record) activity(opts []json.Options) (activity, error) {
	if r.EventName != "" {
		return r.v024.activity(opts)
	}
	return r.v1beta1.activity(opts)
}

func (r *v024) activity(opts []json.Options) (activity, error) {
	a := activity{
		name: r.EventName,
		process: proto.Process{
			Name:       r.ProcessName,
			Executable: r.Executable.Path,
			PID:        r.HostProcessID,
			ParentPID:  r.HostParentProcessID,
			UID:        r.UserID.pointer(),
		},
		container: proto.Container{
			ID:    cmp.Or(r.ContainerID, r.Container.ID),
			Name:  r.Container.Name,
			Image: r.Container.Image,
		},
	}
	if p := r.Metadata.Properties; p != nil {
		a.detection = &detection{
			rule:  proto.Rule{ID: cmp.Or(p.SignatureID, r.EventName), Name: p.SignatureName, Category: p.Category},
			level: p.Severity,
			technique: proto.Technique{
				Tactic: tactic(p.Category),
				ID:     p.ExternalID,
				Name:   p.Technique,
			},
		}
		if a.detection.technique == (proto.Technique{}) {
			t := &a.detection.technique
			t.Tactic, t.Name, _ = strings.Cut(p.MITRE, ": ")
		}
	}
	return a, a.read(r.Args, opts)
}

func (r *v1beta1) activity(opts []json.Options) (activity, error) {
	p, c := &r.Workload.Process, &r.Workload.Container
	a := activity{
		name: r.Name,
		process: proto.Process{
			Name:       p.Thread.Name,
			Executable: p.Executable.Path,
			PID:        p.HostPID,
			UID:        p.RealUser.ID.pointer(),
		},
		container: proto.Container{ID: c.ID, Name: c.Name, Image: c.Image.Name},
	}
	if len(p.Ancestors) > 0 {
		a.process.ParentPID = p.Ancestors[0].HostPID
	}
	if t := r.Threat; t != nil {
		a.detection = &detection{
			rule:  proto.Rule{ID: r.Name, Name: t.Name, Category: t.Properties.Category},
			level: t.Severity,
			technique: proto.Technique{
				Tactic: t.MITRE.Tactic.Name,
				ID:     t.MITRE.Technique.ID,
				Name:   t.MITRE.Technique.Name,
			},
		}
	}
	err := a.read(r.Data, opts)
	return a, cmp.Or(err, a.read(r.DetectedFrom.Data, opts))
}

func (n integer) pointer() *int64 {
	if !n.known {
		return nil
	}
	return &n.value
}

// tactic is the MITRE ATT&CK tactic that a category names: "command-and-control"
// is "Command and Control".
func tactic(category string) string {
	if category == "" {
		return ""
	}
	list := strings.Split(category, "-")
	for i, w := range list {
		if w != "" && w != "and" {
			list[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(list, " ")
}

func endpoint(p proto.Endpoint) *proto.Endpoint {
	if p == (proto.Endpoint{}) {
		return nil
	}
	return &p
}
