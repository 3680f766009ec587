// Package tracee reads the JSON lines of Tracee (https://aquasecurity.github.io/tracee/),
// in both formats that it has had. They are told apart line by line.
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
//	low        1
//	info       0
//
//	event                                             OCSF class
//	a detection                                       2004 Detection Finding
//	exec, fork, exit, ptrace, process_vm_writev, …    1007 Process Activity
//	open, rename, unlink, write and the like          1001 File System Activity
//	connect, bind, accept, …, net_packet_*            4001 Network Activity
//	net_packet_dns*                                   4003 DNS Activity
//	container_create, container_remove                6002 Application Lifecycle
//	any other                                         0 Base Event
//
// A signature's own arguments often lack the path, the address or the command
// line; those of the event that it was detected from fill in.
//
// Command lines are redacted (see [normalize.RedactArgs]) in Process and Title. Raw is what
// Tracee wrote, so a policy should not record what must not be kept.
package tracee
