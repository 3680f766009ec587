// Package kinds says under which kinds a source may publish. The server holds every
// subject in memory, and a sensor can be made to write any kind, so that the rights of a
// shipper's role ([Of]) enumerate those that are known. An event of any other kind
// arrives under [proto.KindOther] ([Set.Subject]); its payload has its own.
package kinds

import (
	"slices"

	"github.com/openclaw-security/bus/proto"
)

// Names of the sources whose kinds are known by themselves.
const (
	suricata = "suricata"
	tracee   = "tracee"
)

// own are the kinds that the shipper makes itself, and the word for a detection.
var own = []string{"alert", proto.KindUnparsed, proto.KindGap, proto.KindSensor, proto.KindFlood, proto.KindOther, "unknown"}

// eventTypes are those of EVE, of Suricata 7 and 8
// (https://docs.suricata.io/en/latest/output/eve/eve-json-format.html).
var eventTypes = []string{
	"anomaly", "arp", "bittorrent_dht", "dcerpc", "dhcp", "dnp3", "dns", "doh2", "drop", "enip", "fileinfo", "flow", "frame",
	"ftp", "ftp_data", "http", "http2", "ike", "krb5", "ldap", "mdns", "metadata", "modbus", "mqtt", "netflow", "nfs", "pgsql", "pop3",
	"quic", "rdp", "rfb", "sip", "smb", "smtp", "snmp", "ssh", "stats", "tftp", "tls", "websocket",
}

// events are those of Tracee that its signatures detect (of 0.24.1), that the shipped
// policies name, and that the normalizer knows more of than their name.
var events = []string{
	"anti_debugging", "aslr_inspection", "cgroup_notify_on_release", "cgroup_release_agent", "core_pattern_modification",
	"default_loader_mod", "disk_mount", "docker_abuse", "dropped_executable", "dynamic_code_loading", "fileless_execution",
	"hidden_file_created", "illegitimate_shell", "k8s_api_connection", "k8s_cert_theft", "kernel_module_loading", "ld_preload",
	"proc_fops_hooking", "proc_kcore_read", "proc_mem_access", "proc_mem_code_injection", "process_vm_write_inject",
	"ptrace_code_injection", "rcd_modification", "sched_debug_recon", "scheduled_task_mod", "stdio_over_socket",
	"sudoers_modification", "syscall_hooking", "system_request_key_mod",

	"bpf", "container_create", "container_remove", "mount", "setns", "unshare", "security_sb_mount", "module_load",

	"execve", "execveat", "sched_process_exec", "security_bprm_check", "process_execution_failed", "fork", "clone", "sched_process_fork",
	"exit", "sched_process_exit", "kill", "ptrace", "process_vm_readv", "process_vm_writev",

	"open", "openat", "security_file_open", "rename", "security_inode_rename", "unlink", "unlinkat", "security_inode_unlink", "write",
	"vfs_write", "magic_write", "file_modification", "chmod_common", "memfd_create",

	"connect", "bind", "listen", "accept", "accept4", "sendto", "security_socket_connect", "security_socket_bind", "security_socket_listen",
	"security_socket_accept", "net_tcp_connect", "net_flow_tcp_begin", "net_flow_tcp_end", "net_packet_tcp", "net_packet_udp",
	"net_packet_dns", "net_packet_dns_request", "net_packet_dns_response", "net_packet_http", "net_packet_http_request",
	"net_packet_http_response",
}

// records are the kinds that any other source may have: those of the shipped mappings,
// and common ones for sources of the owner's own.
var records = []string{
	"audit", "auth", "connection", "error", "event", "file", "finding", "log", "login", "logout", "network", "process", "summary", "warning",

	// Falco's sources.
	"syscall", "k8s_audit", "internal",

	// Zeek's logs.
	"analyzer", "conn", "dce_rpc", "dhcp", "dns", "files", "ftp", "http", "intel", "kerberos", "known_hosts", "known_services", "ldap", "mysql",
	"notice", "ntlm", "ntp", "packet_filter", "pe", "quic", "radius", "rdp", "reporter", "sip", "smb_files", "smb_mapping", "smtp", "snmp",
	"socks", "software", "ssh", "ssl", "stats", "syslog", "tunnel", "weird", "x509",

	// Subsystems of OpenClaw's gateway.
	"agent", "agents", "browser", "canvas", "channel", "channels", "config", "cron", "diagnostic", "discovery", "docker", "exec", "gateway",
	"hooks", "memory", "model", "node-host", "plugin", "plugins", "sandbox", "secrets", "security", "session", "sessions", "skills", "telegram",
	"tools", "tts", "voice", "whatsapp", "discord", "slack", "signal",
}

// Of returns the kinds under which a source may publish, sorted.
func Of(source string) []string {
	known := records
	switch source {
	case suricata:
		known = eventTypes
	case tracee:
		known = events
	}
	all := slices.Concat(own, known)
	slices.Sort(all)
	return slices.Compact(all)
}

// Set are the kinds of one source, for many events.
type Set map[string]struct{}

// SetOf returns the kinds of a source.
func SetOf(source string) Set {
	set := make(Set)
	for _, kind := range Of(source) {
		set[kind] = struct{}{}
	}
	return set
}

// Subject is where the event is published.
func (s Set) Subject(e *proto.Event) proto.Subject {
	subject := e.Subject()
	if _, known := s[subject.Kind]; !known {
		subject.Kind = proto.KindOther
	}
	return subject
}
