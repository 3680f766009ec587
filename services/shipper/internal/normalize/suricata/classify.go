package suricata

import (
	"slices"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

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

// severity is the higher of the rule's priority and the severity in its
// metadata; the package comment has the table.
func (r *record) severity() proto.Severity {
	if r.Alert == nil {
		if r.EventType == "alert" {
			return proto.SeverityMedium // a detection, but unreadable
		}
		return proto.SeverityInfo
	}
	s := ofPriority(r.Alert.Severity)
	for _, word := range r.Alert.Metadata.SignatureSeverity {
		s = max(s, ofWord(word))
	}
	return s
}

// Unread implements [normalize.Sensor]. What a record is stands near its beginning.
func (Sensor) Unread(e *proto.Event) proto.Severity {
	if e.Kind == "" || e.Kind == "alert" && e.Rule == nil {
		return proto.SeverityMedium
	}
	return proto.SeverityLow
}

func ofPriority(priority int64) proto.Severity {
	switch {
	case priority == 1:
		return proto.SeverityHigh
	case priority >= 3:
		return proto.SeverityLow
	}
	return proto.SeverityMedium // 2, or a detection of unreadable priority
}

func ofWord(word string) proto.Severity {
	switch strings.ToLower(word) {
	case "critical":
		return proto.SeverityCritical
	case "major":
		return proto.SeverityHigh
	case "minor":
		return proto.SeverityLow
	}
	return proto.SeverityInfo
}

// title says in a line what e, made of r, is about.
func (r *record) title(e *proto.Event) string {
	if r.Alert != nil || r.EventType == "alert" {
		if e.Rule != nil && strings.TrimSpace(e.Rule.Name) != "" {
			return e.Rule.Name
		}
		return words("Suricata alert without a signature", addresses(e))
	}
	switch {
	case r.EventType == "stats":
		return "Suricata statistics"
	case r.EventType == "drop":
		return words("drop", addresses(e))
	case r.EventType == "dns" && e.DNS != nil:
		return dnsTitle("DNS", e.DNS)
	case r.EventType == "mdns" && e.DNS != nil:
		return dnsTitle("mDNS", e.DNS)
	case r.EventType == "http" && e.HTTP != nil:
		return httpTitle(e.HTTP)
	case r.EventType == "tls" && e.TLS != nil:
		return words("TLS to", peer(e))
	case r.EventType == "quic" && e.TLS != nil:
		return words("QUIC to", peer(e))
	case r.EventType == "ssh" && r.SSH != nil:
		return "SSH " + arrow(orUnknown(r.SSH.Client.SoftwareVersion), orUnknown(r.SSH.Server.SoftwareVersion))
	case r.EventType == "fileinfo" && e.File != nil:
		return words("file", e.File.Path, strconv.FormatInt(e.File.Size, 10), "bytes")
	case r.EventType == "smb" && r.SMB != nil:
		return words("SMB", r.SMB.Command, r.SMB.Filename)
	case r.EventType == "smtp" && r.SMTP != nil:
		return words("SMTP", arrow(orUnknown(r.SMTP.MailFrom), orUnknown(strings.Join(r.SMTP.RcptTo, ", "))))
	case r.EventType == "ftp" && r.FTP != nil:
		return words("FTP", r.FTP.Command, addresses(e)) // without its argument: it may be a password
	case r.EventType == "anomaly" && r.Anomaly != nil:
		return words("anomaly", r.Anomaly.Type, r.Anomaly.Event, addresses(e))
	case r.EventType == "":
		return ""
	}
	state := ""
	if r.Flow != nil {
		state = r.Flow.State
	}
	return words(r.EventType, addresses(e), state)
}

func dnsTitle(protocol string, d *proto.DNS) string {
	name := strings.Join(d.Names, ", ")
	if d.Type != "answer" {
		return words(protocol, "query", d.RRType, name)
	}
	answers := strings.Join(d.Answers, ", ")
	if answers == "" {
		answers = d.RCode
	}
	return words(protocol, "answer", d.RRType, arrow(name, answers))
}

func httpTitle(h *proto.HTTP) string {
	status := ""
	if h.Status != 0 {
		status = strconv.Itoa(h.Status)
	}
	target := h.Hostname + h.Path
	if h.Method == "CONNECT" {
		target = h.Path // "host:port"
	}
	return words("HTTP", h.Method, arrow(target, status))
}

// peer is the name that a client asked for, or else the address.
func peer(e *proto.Event) string {
	if e.TLS.SNI != "" {
		return e.TLS.SNI
	}
	return orUnknown(normalize.HostPort(e.Dst))
}

// addresses is "tcp 192.0.2.1:5 → 198.51.100.7:80".
func addresses(e *proto.Event) string {
	transport := ""
	if e.Network != nil {
		transport = e.Network.Transport
	}
	return words(transport, arrow(normalize.HostPort(e.Src), normalize.HostPort(e.Dst)))
}

func arrow(from, to string) string {
	switch {
	case from == "":
		return to
	case to == "":
		return from
	}
	return from + " → " + to
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// words joins those that are not empty by spaces.
func words(list ...string) string {
	list = slices.DeleteFunc(list, func(w string) bool { return w == "" })
	return strings.Join(list, " ")
}
