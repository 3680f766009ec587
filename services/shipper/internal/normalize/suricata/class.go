package suricata

import "github.com/openclaw-security/bus/proto"

func (r *record) classUID() int {
	if r.Alert != nil {
		return proto.ClassUIDDetectionFinding
	}
	switch r.EventType {
	case "alert", "drop":
		return proto.ClassUIDDetectionFinding
	case "dns", "mdns":
		return proto.ClassUIDDNSActivity
	case "http":
		return proto.ClassUIDHTTPActivity
	case "ssh":
		return proto.ClassUIDSSHActivity
	case "smb":
		return proto.ClassUIDSMBActivity
	case "ftp", "ftp_data":
		return proto.ClassUIDFTPActivity
	case "smtp":
		return proto.ClassUIDEmailActivity
	case "fileinfo":
		return proto.ClassUIDNetworkFile
	}
	if r.SrcIP != "" || r.DestIP != "" {
		return proto.ClassUIDNetworkActivity
	}
	return proto.ClassUIDBaseEvent
}
