// Package tracee reads the JSON lines of Tracee (https://aquasecurity.github.io/tracee/),
// in both formats that it has had. They are distinguished line by line.
//
//	             v0.24                                v1beta1
//	time         timestamp, integer nanoseconds       timestamp, RFC 3339
//	event name   eventName                            name
//	process      processName, hostProcessId,          workload.process.{thread.name,
//	             executable.path, userId              host_pid, executable.path, real_user.id}
//	parent       hostParentProcessId                  workload.process.ancestors[0].host_pid
//	container    containerId, container               workload.container
//	arguments    args[{name, value}]                  data[{name, str | str_array | sockaddr | …}]
//	detection    metadata.Properties                  threat
//	its cause    args[name=detectedFrom].value.args   detected_from.data
//
// An event with detection metadata is a detection; all others are info:
//
//	severity   level
//	critical   4, or 3 with MITRE ATT&CK T1611 (Escape to Host)
//	high       3
//	medium     2, or none that can be read
//	low        0 or 1
//
//	event                                             OCSF class
//	a detection                                       2004 Detection Finding
//	exec, fork, exit, ptrace, process_vm_writev, …    1007 Process Activity
//	open, rename, unlink, write and the like          1001 File System Activity
//	connect, bind, accept, …, net_packet_*            4001 Network Activity
//	net_packet_dns*                                   4003 DNS Activity
//	net_packet_http*                                  4002 HTTP Activity
//	container_create, container_remove                6002 Application Lifecycle
//	any other                                         0 Base Event
//
// A signature's own arguments often lack the path, the address or the command
// line; those of the event that it was detected from fill in.
//
// Secrets of no known shape stay, so a policy should not record what must not be
// kept.
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
	a.process.Args = a.argv
	if a.process.Executable == "" && a.name == "sched_process_exec" {
		a.process.Executable = a.path
	}
	if p := a.process; p.Name != "" || p.PID != 0 || len(p.Args) > 0 {
		e.Process = &p
	}
	if a.container != (proto.Container{}) {
		e.Container = &a.container
	}
	e.File = a.file()
	if a.name == "bind" { // its addr is the local one
		a.src, a.dst = a.dst, a.src
	}
	e.Src, e.Dst = endpoint(a.src), endpoint(a.dst)
	e.DNS, e.HTTP = a.dns, a.http
	e.Title = a.title(e)
	return cmp.Or(err, argErr)
}

// file is what the event is about. A file that is renamed is, from then on, under
// its new path.
func (a *activity) file() *proto.File {
	switch {
	case a.newPath != "":
		return &proto.File{Path: a.newPath, Access: "write"}
	case a.path == "":
		return nil
	}
	f := &proto.File{Path: a.path}
	switch a.name {
	case "open", "openat", "security_file_open":
		if a.flags != "" {
			f.Access = access(a.flags)
		}
	}
	return f
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
