package suricata

import (
	"slices"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

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
		return dnsTitle(e.DNS)
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

func dnsTitle(d *proto.DNS) string {
	name := strings.Join(d.Names, ", ")
	if d.Type != "answer" {
		return words("DNS query", d.RRType, name)
	}
	answers := strings.Join(d.Answers, ", ")
	if answers == "" {
		answers = d.RCode
	}
	return words("DNS answer", d.RRType, arrow(name, answers))
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
