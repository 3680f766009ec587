package tracee

import (
	"strings"

	"github.com/openclaw-security/bus/proto"
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
	case strings.HasPrefix(a.name, "net_packet_"):
		return proto.ClassUIDNetworkActivity
	}
	return proto.ClassUIDBaseEvent
}
