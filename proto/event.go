package proto

import (
	"encoding/json"
	"time"
)

// OCSF 1.8.0 class_uid values that the bus uses (https://schema.ocsf.io).
const (
	ClassUIDFileActivity     = 1001
	ClassUIDProcessActivity  = 1007
	ClassUIDDetectionFinding = 2004
	ClassUIDNetworkActivity  = 4001
	ClassUIDHTTPActivity     = 4002
	ClassUIDDNSActivity      = 4003
	ClassUIDSMBActivity      = 4006
	ClassUIDSSHActivity      = 4007
	ClassUIDFTPActivity      = 4008
	ClassUIDEmailActivity    = 4009
	ClassUIDNetworkFile      = 4010
	ClassUIDAppLifecycle     = 6002
	ClassUIDAPIActivity      = 6003
	ClassUIDBaseEvent        = 0
)

// Kinds that no sensor writes: the shipper makes them.
const (
	KindUnparsed = "unparsed" // a line that is not a JSON object the shipper can carry
	KindGap      = "gap"      // bytes that were gone before anyone could read them
	KindSensor   = "sensor"   // the sensor itself is silent or blind, or is so no more
	KindFlood    = "flood"    // counts the alerts of a rule that were made events, because there were too many
	// KindOther stands in a subject for the kinds that the source's role may not publish
	// under. Such an event's own kind is in its payload alone.
	KindOther = "other"
)

// TagNameMismatch marks an event whose payload named another host or source than its
// subject, which the server guards. Readers show the subject's and add the tag.
const TagNameMismatch = "name-mismatch"

// Event is an alert or a piece of telemetry: what a sensor reported, normalized,
// with the sensor's own record under Raw.
//
// The JSON form is compact, in the order of the fields here, absent where
// empty; 64-bit values that can pass 2^53 are strings.
type Event struct {
	// Stable: 32 lower-case hex digits, the same whenever the record is read again ([EventID]).
	ID string `json:"id"`
	// When the sensor saw it, in UTC; if the record has no readable time, when
	// the shipper read it (and the tags have "no-time").
	Time time.Time `json:"time"`
	// The machine, before it was made a subject token ([Slug]).
	Host string `json:"host"`
	// The sensor, before it was made a subject token.
	Source string `json:"source"`
	// What sort of record it is, in the sensor's word, before it was made a subject token.
	Kind string `json:"kind"`
	// How bad it is.
	Severity Severity `json:"severity"`
	// The severity as the OCSF number, 1 (info) to 5 (critical).
	SeverityID int `json:"severity_id"`
	// The OCSF event class, 0 for a base event.
	ClassUID int `json:"class_uid"`
	// What happened, in one line.
	Title string `json:"title"`
	// What the sensor did about it, in its own word ("allowed", "blocked").
	Action    string      `json:"action,omitempty"`
	Rule      *Rule       `json:"rule,omitempty"`
	MITRE     []Technique `json:"mitre,omitempty"`
	Src       *Endpoint   `json:"src,omitempty"`
	Dst       *Endpoint   `json:"dst,omitempty"`
	Network   *Network    `json:"network,omitempty"`
	DNS       *DNS        `json:"dns,omitempty"`
	HTTP      *HTTP       `json:"http,omitempty"`
	TLS       *TLS        `json:"tls,omitempty"`
	File      *File       `json:"file,omitempty"`
	Process   *Process    `json:"process,omitempty"`
	Container *Container  `json:"container,omitempty"`
	// Remarks of the normalizer and of local rules.
	Tags   []string `json:"tags,omitempty"`
	Gap    *Gap     `json:"gap,omitempty"`
	Origin *Origin  `json:"origin,omitempty"`
	Line   *Line    `json:"line,omitempty"`
	// Where secrets were taken out of Raw or Line (and the tags have "redacted"), or Raw was too long: the
	// SHA-256 of the line as the sensor wrote it, without its line end, in lower-case hex.
	RawSHA256 string `json:"raw_sha256,omitempty"`
	// The sensor's own JSON object, byte for byte but for secrets, which are replaced by "[redacted]".
	Raw json.RawMessage `json:"raw,omitempty"`
}

// Rule is the signature that fired.
type Rule struct {
	ID       string `json:"id"`                 // Suricata's sid, Tracee's TRC number or event name
	Name     string `json:"name,omitempty"`     // the rule's own name
	Category string `json:"category,omitempty"` // the ruleset's classification
	Revision int64  `json:"revision,omitempty"`
}

// Technique is a MITRE ATT&CK reference.
type Technique struct {
	TacticID string `json:"tactic_id,omitempty"` // "TA0006"
	Tactic   string `json:"tactic,omitempty"`    // "Credential Access"
	ID       string `json:"id,omitempty"`        // "T1552.005"
	Name     string `json:"name,omitempty"`      // "Cloud Instance Metadata API"
}

// Endpoint is one end of a connection.
type Endpoint struct {
	IP       string `json:"ip,omitempty"`
	Port     int    `json:"port,omitempty"`
	Hostname string `json:"hostname,omitempty"`
	Path     string `json:"path,omitempty"` // of a Unix socket
}

// Network describes the flow.
type Network struct {
	Transport     string `json:"transport,omitempty"`    // "tcp", "udp", "icmp"
	AppProtocol   string `json:"app_protocol,omitempty"` // "http", "tls"
	Direction     string `json:"direction,omitempty"`    // "to_server", "to_client"
	CommunityID   string `json:"community_id,omitempty"`
	FlowID        string `json:"flow_id,omitempty"` // 64-bit, hence a string
	State         string `json:"state,omitempty"`
	BytesToServer int64  `json:"bytes_to_server,omitempty"`
	BytesToClient int64  `json:"bytes_to_client,omitempty"`
	PktsToServer  int64  `json:"pkts_to_server,omitempty"`
	PktsToClient  int64  `json:"pkts_to_client,omitempty"`
}

// DNS is a query or an answer.
type DNS struct {
	Type    string   `json:"type,omitempty"` // "query" or "answer"
	Names   []string `json:"names,omitempty"`
	RRType  string   `json:"rrtype,omitempty"`
	RCode   string   `json:"rcode,omitempty"`
	Answers []string `json:"answers,omitempty"`
}

// HTTP is a request and its response. The path is without the query string,
// which often carries secrets.
type HTTP struct {
	Method      string `json:"method,omitempty"`
	Hostname    string `json:"hostname,omitempty"`
	Path        string `json:"path,omitempty"`
	UserAgent   string `json:"user_agent,omitempty"`
	Status      int    `json:"status,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	Length      int64  `json:"length,omitempty"` // of the response body, bytes
}

// TLS is a handshake.
type TLS struct {
	SNI     string `json:"sni,omitempty"`
	Version string `json:"version,omitempty"`
	JA3     string `json:"ja3,omitempty"`
	JA3S    string `json:"ja3s,omitempty"`
	JA4     string `json:"ja4,omitempty"`
	Subject string `json:"subject,omitempty"`
	Issuer  string `json:"issuer,omitempty"`
}

// File is a file on disk or on the wire.
type File struct {
	Path   string `json:"path,omitempty"`
	Access string `json:"access,omitempty"` // how it was opened, if that is known: read or write
	Size   int64  `json:"size,omitempty"`   // bytes
	SHA256 string `json:"sha256,omitempty"`
	Type   string `json:"type,omitempty"`
}

// Process is who did it. Ids are those of the host's PID namespace.
type Process struct {
	Name       string   `json:"name,omitempty"`
	Executable string   `json:"executable,omitempty"`
	Args       []string `json:"args,omitempty"` // secrets replaced by "[redacted]"
	PID        int64    `json:"pid,omitempty"`
	ParentPID  int64    `json:"parent_pid,omitempty"`
	UID        *int64   `json:"uid,omitempty"`
}

// Container is where it happened.
type Container struct {
	ID    string `json:"id,omitempty"`
	Name  string `json:"name,omitempty"`
	Image string `json:"image,omitempty"`
}

// Gap is a range of bytes that was lost before it could be read. It is set on
// events of kind "gap".
type Gap struct {
	From   int64  `json:"from"` // offset of the first lost byte
	To     int64  `json:"to"`   // offset after the last lost byte; equal to From where unknown
	Reason string `json:"reason"`
}

// Origin is where a record stood.
type Origin struct {
	File       string `json:"file"`       // base name, as it was read
	Generation string `json:"generation"` // which incarnation of the file
	Offset     int64  `json:"offset"`     // of the line's first byte
}

// Line stands in for Raw where the line cannot be carried as a JSON value: it
// is not a JSON object, is not UTF-8, or is too large for one message.
type Line struct {
	Reason string `json:"reason"`
	Length int64  `json:"length"`           // of the whole line, bytes
	Text   string `json:"text,omitempty"`   // the line if it is UTF-8, cut to a bound
	Base64 string `json:"base64,omitempty"` // the line otherwise, cut to a bound
}

// Subject is the subject that the event belongs under.
func (e *Event) Subject() Subject {
	return NewSubject(e.Host, e.Source, e.Kind, e.Severity)
}

// SetSeverity sets the token and the number together.
func (e *Event) SetSeverity(s Severity) {
	e.Severity, e.SeverityID = s, s.ID()
}
