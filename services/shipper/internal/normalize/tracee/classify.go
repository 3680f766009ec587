package tracee

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

func (a *activity) classUID() int {
	if a.detection != nil {
		return proto.ClassUIDDetectionFinding
	}
	switch a.name {
	case "execve", "execveat", "sched_process_exec", "security_bprm_check", "process_execution_failed",
		"fork", "vfork", "clone", "clone3", "sched_process_fork",
		"exit", "exit_group", "sched_process_exit", "kill",
		"ptrace", "process_vm_readv", "process_vm_writev":
		return proto.ClassUIDProcessActivity
	case "open", "openat", "openat2", "creat", "security_file_open",
		"rename", "renameat", "renameat2", "security_inode_rename",
		"unlink", "unlinkat", "rmdir", "security_inode_unlink",
		"write", "vfs_write", "vfs_writev", "magic_write", "file_modification", "truncate",
		"chmod", "fchmodat", "chmod_common", "link", "linkat", "symlink", "symlinkat", "memfd_create":
		return proto.ClassUIDFileActivity
	case "connect", "bind", "listen", "accept", "accept4", "sendto",
		"security_socket_connect", "security_socket_bind", "security_socket_listen", "security_socket_accept",
		"net_tcp_connect", "net_flow_tcp_begin", "net_flow_tcp_end":
		return proto.ClassUIDNetworkActivity
	case "container_create", "container_remove":
		return proto.ClassUIDAppLifecycle
	}
	switch {
	case strings.HasPrefix(a.name, "net_packet_dns"):
		return proto.ClassUIDDNSActivity
	case strings.HasPrefix(a.name, "net_packet_http"):
		return proto.ClassUIDHTTPActivity
	case strings.HasPrefix(a.name, "net_packet_"):
		return proto.ClassUIDNetworkActivity
	}
	return proto.ClassUIDBaseEvent
}

// escapeToHost is the MITRE ATT&CK technique that ends a container's isolation.
const escapeToHost = "T1611"

// severity follows the table in the package comment; without a detection it is
// info.
func (d *detection) severity() proto.Severity {
	switch {
	case d == nil:
		return proto.SeverityInfo
	case !d.level.known || d.level.value < 0:
		return proto.SeverityMedium // a detection, but of unreadable severity
	}
	switch d.level.value {
	case 0, 1:
		return proto.SeverityLow
	case 2:
		return proto.SeverityMedium
	case 3:
		if id, _, _ := strings.Cut(d.technique.ID, "."); id != escapeToHost {
			return proto.SeverityHigh
		}
	}
	return proto.SeverityCritical
}

// Unread implements [normalize.Sensor]. That a record is a detection stands at its
// end, in v0.24.
func (Sensor) Unread(e *proto.Event) proto.Severity {
	if e.Rule == nil {
		return proto.SeverityMedium
	}
	return proto.SeverityLow
}

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
	case e.HTTP != nil && e.HTTP.Status != 0:
		return "HTTP response " + strconv.Itoa(e.HTTP.Status) + who
	case e.HTTP != nil:
		return "HTTP " + e.HTTP.Method + " " + e.HTTP.Hostname + e.HTTP.Path + who
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
