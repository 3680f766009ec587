// Package suricata reads EVE, Suricata's JSON log, as versions 7 and 8 write it
// (https://docs.suricata.io/en/latest/output/eve/eve-json-format.html).
//
// What differs between the two is DNS. Version 7 logs {"type":"query"|"answer",
// "rrname":…} and nests both in its alerts as {"query":[…],"answer":{…}};
// version 8 logs {"type":"request"|"response","queries":[{"rrname":…}]}
// everywhere. Events say "query" and "answer" for both. Version 4 logs a record for
// each answer, with its rdata; answers can also be grouped by their type.
//
// A record with an alert object is a detection, of any event type:
//
//	severity   priority (alert.severity)   signature_severity in the metadata
//	critical                               Critical
//	high       1                           Major
//	medium     2, or none that is above 0
//	low        3 and more                  Minor, Informational
//
// The higher of the two counts. A record without an alert is telemetry, info.
//
//	event type                                 OCSF class
//	alert, drop                                2004 Detection Finding
//	dns, mdns                                  4003 DNS Activity
//	http                                       4002 HTTP Activity
//	ssh, smb, ftp and ftp_data, smtp           4007, 4006, 4008, 4009
//	fileinfo                                   4010 Network File Activity
//	any other, if it has an address            4001 Network Activity
//	stats, and what has none                   0 Base Event
//
// What has no normalized field (SSH versions, e-mail, the X-Forwarded-For
// header, …) is under Raw only.
package suricata

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

var _ normalize.Sensor = Sensor{}

// Sensor reads EVE records.
type Sensor struct{}

// TagNoZone marks a time that was written without its zone and is taken for UTC.
const TagNoZone = "no-zone"

// timeLayouts are how EVE writes a time, and how files of others that pass
// records on do. Suricata before 2015 wrote no zone.
var timeLayouts = [...]string{"2006-01-02T15:04:05.999999-0700", time.RFC3339, zoneless}

const zoneless = "2006-01-02T15:04:05"

// Decode implements [normalize.Sensor].
func (Sensor) Decode(line []byte, e *proto.Event, opts ...json.Options) error {
	var r record
	err := json.Unmarshal(line, &r, opts...)

	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, r.Timestamp); err == nil {
			e.Time = t
			if layout == zoneless {
				e.Tags = append(e.Tags, TagNoZone)
			}
			break
		}
	}
	e.Kind = r.EventType
	e.Severity = r.severity()
	e.ClassUID = r.classUID()
	e.Action = r.action()
	r.detection(e)
	e.Src = endpoint(r.SrcIP, r.SrcPort)
	e.Dst = endpoint(r.DestIP, r.DestPort)
	e.Network = r.network()
	e.DNS = cmp.Or(r.DNS, r.MDNS).normalized()
	e.HTTP = r.HTTP.normalized()
	e.TLS = r.encryption()
	e.File = r.file()
	e.Title = r.title(e)
	return err
}

// action is the rule's own ("allowed", "blocked"), but a packet can be dropped
// by another rule than the one that is reported.
func (r *record) action() string {
	switch {
	case r.EventType == "drop" || r.Verdict.Action == "drop":
		return "blocked"
	case r.Alert != nil && r.Alert.Action != "":
		return r.Alert.Action
	}
	return r.Verdict.Action
}

func (r *record) detection(e *proto.Event) {
	a := r.Alert
	if a == nil {
		return
	}
	e.Rule = &proto.Rule{Name: a.Signature, Category: a.Category, Revision: a.Rev}
	if a.SignatureID != 0 {
		e.Rule.ID = strconv.FormatUint(a.SignatureID, 10)
	}
	m := &a.Metadata
	count := max(len(m.MITRETacticID), len(m.MITRETacticName), len(m.MITRETechniqueID), len(m.MITRETechniqueName))
	for i := range count {
		e.MITRE = append(e.MITRE, proto.Technique{
			TacticID: at(m.MITRETacticID, i),
			Tactic:   strings.ReplaceAll(at(m.MITRETacticName, i), "_", " "),
			// A rule's metadata cannot hold the dot of "T1552.005".
			ID:   strings.ReplaceAll(at(m.MITRETechniqueID, i), "_", "."),
			Name: strings.ReplaceAll(at(m.MITRETechniqueName, i), "_", " "),
		})
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

func endpoint(ip string, port uint16) *proto.Endpoint {
	if ip == "" {
		return nil
	}
	return &proto.Endpoint{IP: normalize.Address(ip), Port: int(port)}
}

func (r *record) network() *proto.Network {
	n := proto.Network{
		Transport:   transport(r.Proto),
		AppProtocol: r.AppProto,
		Direction:   r.Direction,
		CommunityID: r.CommunityID,
	}
	switch r.AppProto {
	case "", "unknown", "failed": // none that Suricata could detect
		n.AppProtocol = protocol(r.EventType)
	}
	if r.FlowID != 0 {
		n.FlowID = strconv.FormatUint(r.FlowID, 10)
	}
	if f := r.Flow; f != nil {
		n.State = f.State
		n.BytesToServer, n.BytesToClient = f.BytesToServer, f.BytesToClient
		n.PktsToServer, n.PktsToClient = f.PktsToServer, f.PktsToClient
	}
	if f := r.NetFlow; f != nil {
		// Of a single direction, which is from Src to Dst.
		n.BytesToServer, n.PktsToServer = f.Bytes, f.Pkts
	}
	if n == (proto.Network{}) {
		return nil
	}
	return &n
}

func transport(proto string) string {
	switch proto {
	case "TCP":
		return "tcp"
	case "UDP":
		return "udp"
	}
	return strings.ToLower(proto)
}

// protocol is the application protocol that an event type speaks of.
func protocol(eventType string) string {
	switch eventType {
	case "dns", "http", "tls", "quic", "ssh", "smb", "smtp", "ftp":
		return eventType
	}
	return ""
}

func (d *dns) normalized() *proto.DNS {
	if d == nil {
		return nil
	}
	out := &proto.DNS{Type: d.Type, RRType: d.RRType, RCode: string(d.RCode)}
	switch d.Type {
	case "request":
		out.Type = "query"
	case "response":
		out.Type = "answer"
	}
	if d.RRName != "" {
		out.Names = append(out.Names, d.RRName)
	}
	for _, questions := range [...][]dnsQuestion{d.Queries, d.Query} {
		for _, q := range questions {
			if q.RRName != "" {
				out.Names = append(out.Names, q.RRName)
			}
			if out.RRType == "" {
				out.RRType = q.RRType
			}
		}
	}
	if len(d.Query) > 0 && out.Type == "" {
		out.Type = "query"
	}
	answers := d.Answers
	if a := d.Answer; a != nil {
		out.Type, out.RCode, answers = "answer", string(a.RCode), a.Answers
		if len(out.Names) == 0 && a.RRName != "" {
			out.Names, out.RRType = []string{a.RRName}, a.RRType
		}
	}
	for _, a := range answers {
		if data := cmp.Or(a.RData, a.PTR); data != "" {
			out.Answers = append(out.Answers, data)
		}
		if len(d.Queries) == 0 && a.RRName != "" && !slices.Contains(out.Names, a.RRName) {
			out.Names = append(out.Names, a.RRName) // mDNS announces names that nobody asked for
		}
	}
	if d.RData != "" {
		out.Answers = append(out.Answers, d.RData)
	}
	if grouped := cmp.Or(d.Answer, d).Grouped; len(answers) == 0 {
		for _, kind := range slices.Sorted(maps.Keys(grouped)) {
			for _, value := range grouped[kind] {
				var text string // others than texts are objects, of SOA and SRV
				if json.Unmarshal(value, &text) == nil && text != "" {
					out.Answers = append(out.Answers, text)
				}
			}
		}
	}
	return out
}

func (h *http) normalized() *proto.HTTP {
	if h == nil {
		return nil
	}
	return &proto.HTTP{
		Method:      h.Method,
		Hostname:    h.Hostname,
		Path:        normalize.URLPath(h.URL),
		UserAgent:   h.UserAgent,
		Status:      h.Status,
		ContentType: h.ContentType,
		Length:      h.Length,
	}
}

func (r *record) encryption() *proto.TLS {
	t := r.TLS
	if t == nil {
		t = r.QUIC
	}
	if t == nil {
		return nil
	}
	out := &proto.TLS{
		SNI: t.SNI, JA3: t.JA3.Hash, JA3S: t.JA3S.Hash, JA4: t.JA4,
		Subject: t.Subject, Issuer: t.Issuer,
	}
	if r.TLS != nil { // QUIC's version is its own
		out.Version = t.Version
	}
	return out
}

// file is the file that a record is about, or the first that an alert's
// transaction carried.
func (r *record) file() *proto.File {
	f := r.FileInfo
	if f == nil && len(r.Files) > 0 {
		f = &r.Files[0]
	}
	if f == nil {
		return nil
	}
	path := f.Filename
	if r.HTTP != nil {
		path = normalize.URLPath(path)
	}
	return &proto.File{Path: path, Size: f.Size, SHA256: f.SHA256, Type: f.Magic}
}
