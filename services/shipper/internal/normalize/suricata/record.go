package suricata

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// record is the part of an EVE record that is normalized. Names are matched
// case-sensitively; all others are skipped.
type record struct {
	Timestamp   string `json:"timestamp"`
	FlowID      uint64 `json:"flow_id"`
	EventType   string `json:"event_type"`
	SrcIP       string `json:"src_ip"`
	SrcPort     uint16 `json:"src_port"`
	DestIP      string `json:"dest_ip"`
	DestPort    uint16 `json:"dest_port"`
	Proto       string `json:"proto"`
	AppProto    string `json:"app_proto"`
	Direction   string `json:"direction"`
	CommunityID string `json:"community_id"`

	Alert    *alert     `json:"alert"`
	Verdict  verdict    `json:"verdict"`
	Flow     *flow      `json:"flow"`
	NetFlow  *netFlow   `json:"netflow"`
	DNS      *dns       `json:"dns"`
	MDNS     *dns       `json:"mdns"`
	HTTP     *http      `json:"http"`
	TLS      *tls       `json:"tls"`
	QUIC     *tls       `json:"quic"`
	SSH      *ssh       `json:"ssh"`
	FileInfo *fileInfo  `json:"fileinfo"`
	Files    []fileInfo `json:"files"`
	SMB      *smb       `json:"smb"`
	SMTP     *smtp      `json:"smtp"`
	FTP      *ftp       `json:"ftp"`
	Anomaly  *anomaly   `json:"anomaly"`
}

type alert struct {
	Action      string   `json:"action"`
	SignatureID uint64   `json:"signature_id"`
	Rev         int64    `json:"rev"`
	Signature   string   `json:"signature"`
	Category    string   `json:"category"`
	Severity    int64    `json:"severity"`
	Metadata    metadata `json:"metadata"`
}

// metadata holds the keys that ET rulesets use; each may occur more than once in
// a rule, so each is an array.
type metadata struct {
	SignatureSeverity  []string `json:"signature_severity"`
	MITRETacticID      []string `json:"mitre_tactic_id"`
	MITRETacticName    []string `json:"mitre_tactic_name"`
	MITRETechniqueID   []string `json:"mitre_technique_id"`
	MITRETechniqueName []string `json:"mitre_technique_name"`
}

type verdict struct {
	Action string `json:"action"`
}

type flow struct {
	PktsToServer  int64  `json:"pkts_toserver"`
	PktsToClient  int64  `json:"pkts_toclient"`
	BytesToServer int64  `json:"bytes_toserver"`
	BytesToClient int64  `json:"bytes_toclient"`
	State         string `json:"state"`
}

// netFlow is one direction of a flow.
type netFlow struct {
	Pkts  int64 `json:"pkts"`
	Bytes int64 `json:"bytes"`
}

// dns has the names of both versions: a query's own and version 8's in Queries;
// Query and Answer are those of version 7's alerts. It is also an mdns record's.
type dns struct {
	Type    string        `json:"type"`
	RRName  string        `json:"rrname"`
	RRType  string        `json:"rrtype"`
	RCode   rcode         `json:"rcode"`
	Queries []dnsQuestion `json:"queries"`
	Answers []dnsAnswer   `json:"answers"`
	Query   []dnsQuestion `json:"query"`
	Answer  *dns          `json:"answer"`
	RData   string        `json:"rdata"` // of records of version 1
	// Values by type, in the format "grouped".
	Grouped map[string][]jsontext.Value `json:"grouped"`
}

type dnsQuestion struct {
	RRName string `json:"rrname"`
	RRType string `json:"rrtype"`
}

type dnsAnswer struct {
	RRName string `json:"rrname"`
	RData  string `json:"rdata"`
	PTR    string `json:"ptr"` // of mDNS, in place of rdata
}

// rcode is a response code's name. DNS records have the name, mDNS records the
// number.
type rcode string

// UnmarshalJSON reads a name, or the number of one (RFC 1035, section 4.1.1); other
// numbers stay numbers.
func (c *rcode) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, (*string)(c))
	}
	number := string(text)
	switch number {
	case "null":
		number = ""
	case "0":
		number = "NOERROR"
	case "1":
		number = "FORMERR"
	case "2":
		number = "SERVFAIL"
	case "3":
		number = "NXDOMAIN"
	case "4":
		number = "NOTIMP"
	case "5":
		number = "REFUSED"
	}
	*c = rcode(number)
	return nil
}

type http struct {
	Hostname    string `json:"hostname"`
	URL         string `json:"url"`
	UserAgent   string `json:"http_user_agent"`
	ContentType string `json:"http_content_type"`
	Method      string `json:"http_method"`
	Status      int    `json:"status"`
	Length      int64  `json:"length"`
}

// tls is also the part that QUIC records have of it.
type tls struct {
	SNI     string `json:"sni"`
	Version string `json:"version"`
	Subject string `json:"subject"`
	Issuer  string `json:"issuerdn"`
	JA3     hash   `json:"ja3"`
	JA3S    hash   `json:"ja3s"`
	JA4     string `json:"ja4"`
}

type hash struct {
	Hash string `json:"hash"`
}

type ssh struct {
	Client sshPeer `json:"client"`
	Server sshPeer `json:"server"`
}

type sshPeer struct {
	SoftwareVersion string `json:"software_version"`
}

type fileInfo struct {
	Filename string `json:"filename"`
	Magic    string `json:"magic"`
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"`
}

type smb struct {
	Command  string `json:"command"`
	Filename string `json:"filename"`
}

type smtp struct {
	MailFrom string   `json:"mail_from"`
	RcptTo   []string `json:"rcpt_to"`
}

type ftp struct {
	Command string `json:"command"`
}

type anomaly struct {
	Type  string `json:"type"`
	Event string `json:"event"`
}
