package tracee

import (
	"cmp"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

// title says in a line what e, made of a, is about.
func (a *activity) title(e *proto.Event) string {
	who := ""
	if a.process.Name != "" {
		who = " (" + a.process.Name + ")"
	}
	switch {
	case a.name == "":
		return ""
	case a.detection != nil:
		return cmp.Or(a.detection.rule.Name, a.name) + who
	case a.name == "sched_process_exec" || a.name == "execve" || a.name == "execveat":
		return "exec: " + cmp.Or(strings.Join(a.process.Args, " "), a.path, a.process.Name)
	case e.DNS != nil:
		return "DNS " + e.DNS.Type + " " + e.DNS.RRType + " " + strings.Join(e.DNS.Names, ", ") + who
	case e.Dst != nil:
		return a.name + " " + normalize.HostPort(e.Dst) + who
	case e.Src != nil:
		return a.name + " " + normalize.HostPort(e.Src) + who
	case e.File != nil:
		return a.name + " " + e.File.Path + who
	case e.ClassUID == proto.ClassUIDAppLifecycle && e.Container != nil:
		return a.name + " " + cmp.Or(e.Container.Name, e.Container.ID)
	}
	return a.name + who
}
