package tracee

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// record is the part of a line that is normalized, in either format: no name
// but timestamp, which both have, means two things.
type record struct {
	Timestamp jsontext.Value `json:"timestamp"` // an integer or a string
	v024
	v1beta1
}

type v024 struct {
	EventName           string  `json:"eventName"`
	ProcessName         string  `json:"processName"`
	HostProcessID       int64   `json:"hostProcessId"`
	HostParentProcessID int64   `json:"hostParentProcessId"`
	UserID              integer `json:"userId"`
	Executable          struct {
		Path string `json:"path"`
	} `json:"executable"`
	ContainerID string `json:"containerId"`
	Container   struct {
		ID    string `json:"id"`
		Name  string `json:"name"`
		Image string `json:"image"`
	} `json:"container"`
	Args     []argument `json:"args"`
	Metadata struct {
		Properties *properties `json:"Properties"`
	} `json:"metadata"`
}

// properties describes the signature of a v0.24 event.
type properties struct {
	Severity      integer `json:"Severity"`
	Category      string  `json:"Category"`    // "defense-evasion"
	Technique     string  `json:"Technique"`   // "Reflective Code Loading"
	ExternalID    string  `json:"external_id"` // "T1620"
	SignatureID   string  `json:"signatureID"`
	SignatureName string  `json:"signatureName"`
	// MITRE takes the place of the three above in a few old signatures:
	// "Discovery: Cloud Service Discovery".
	MITRE string `json:"MITRE ATT&CK"`
}

type v1beta1 struct {
	Name     string `json:"name"`
	Workload struct {
		Process struct {
			Executable struct {
				Path string `json:"path"`
			} `json:"executable"`
			HostPID  int64 `json:"host_pid"`
			RealUser struct {
				ID integer `json:"id"`
			} `json:"real_user"`
			Thread struct {
				Name string `json:"name"`
			} `json:"thread"`
			Ancestors []struct {
				HostPID int64 `json:"host_pid"`
			} `json:"ancestors"`
		} `json:"process"`
		Container struct {
			ID    string `json:"id"`
			Name  string `json:"name"`
			Image struct {
				Name string `json:"name"`
			} `json:"image"`
		} `json:"container"`
	} `json:"workload"`
	Data         []argument `json:"data"`
	Threat       *threat    `json:"threat"`
	DetectedFrom struct {
		Data []argument `json:"data"`
	} `json:"detected_from"`
}

// threat describes the detection of a v1beta1 event.
type threat struct {
	Name     string  `json:"name"`
	Severity integer `json:"severity"`
	MITRE    struct {
		Tactic struct {
			Name string `json:"name"`
		} `json:"tactic"`
		Technique struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"technique"`
	} `json:"mitre"`
	Properties struct {
		Category string `json:"Category"`
	} `json:"properties"`
}

// argument is one of an event's. In v0.24 the value is under that name, of
// any type; v1beta1 has a name for each type.
type argument struct {
	Name     string         `json:"name"`
	Value    jsontext.Value `json:"value"`
	Str      string         `json:"str"`
	StrArray struct {
		Value []string `json:"value"`
	} `json:"str_array"`
	SockAddr *sockAddr `json:"sockaddr"`
	UInt32   uint32    `json:"u_int32"`
	Int32    int64     `json:"int32"`
}

type sockAddr struct {
	IPv4     string `json:"sin_addr"`
	IPv4Port port   `json:"sin_port"`
	IPv6     string `json:"sin6_addr"`
	IPv6Port port   `json:"sin6_port"`
	Path     string `json:"sun_path"`
}

// packet is the metadata of a net_packet event.
type packet struct {
	SrcIP   string `json:"src_ip"`
	SrcPort port   `json:"src_port"`
	DstIP   string `json:"dst_ip"`
	DstPort port   `json:"dst_port"`
}

// protoDNS is the payload of a net_packet_dns event.
type protoDNS struct {
	QR        int `json:"QR"` // 0 a query, 1 an answer
	Questions []struct {
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"questions"`
	Answers []struct {
		IP    string `json:"IP"`
		CNAME string `json:"CNAME"`
	} `json:"answers"`
}

// dnsQuestion is one of a net_packet_dns_request's.
type dnsQuestion struct {
	Query string `json:"query"`
	Type  string `json:"query_type"`
}

// dnsResponse is a question of a net_packet_dns_response with its answers.
type dnsResponse struct {
	Question dnsQuestion `json:"query_data"`
	Answers  []struct {
		Value string `json:"answer"`
	} `json:"dns_answer"`
}

// protoHTTP is the payload of the net_packet_http events; those of requests and
// of responses have a part of it
// (package types/trace of Tracee).
type protoHTTP struct {
	Method  string              `json:"method"`
	Host    string              `json:"host"`
	Path    string              `json:"uri_path"`
	Status  int                 `json:"status_code"`
	Headers map[string][]string `json:"headers"`
	Length  int64               `json:"content_length"`
}

// cause is the event that a v0.24 signature was detected from.
type cause struct {
	Args []argument `json:"args"`
}

// integer distinguishes a number that cannot be read from 0, which would be root's user
// id, or a harmless severity.
type integer struct {
	value int64
	known bool
}

// UnmarshalJSON reads a JSON integer; null leaves the number unknown.
func (n *integer) UnmarshalJSON(text []byte) error {
	*n = integer{}
	if string(text) == "null" {
		return nil
	}
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("reading an integer: %w", err)
	}
	*n = integer{value: v, known: true}
	return nil
}

// port is a TCP or UDP port, which v0.24 writes as a string and v1beta1 as a
// number.
type port uint16

// UnmarshalJSON reads a port in either form; null and "" are port 0.
func (p *port) UnmarshalJSON(text []byte) error {
	*p = 0
	digits := strings.Trim(string(text), `"`)
	if digits == "" || digits == "null" {
		return nil
	}
	v, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return fmt.Errorf("reading a port: %w", err)
	}
	*p = port(v)
	return nil
}
