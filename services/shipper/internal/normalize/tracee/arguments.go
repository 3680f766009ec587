package tracee

import (
	"cmp"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

// arguments are those of an event that are normalized.
type arguments struct {
	path     string
	newPath  string // to which a file is renamed
	flags    string // of an open, as numbers or names
	argv     []string
	src, dst proto.Endpoint
	dns      *proto.DNS
	http     *proto.HTTP
}

// read takes what is known of list. What is known already is not overwritten:
// an event's own arguments come before those of its cause. It reads on after an
// error and returns the first.
func (a *arguments) read(list []argument, opts []json.Options) (err error) {
	for i := range list {
		err = cmp.Or(err, a.readOne(&list[i], opts))
	}
	return err
}

func (a *arguments) readOne(arg *argument, opts []json.Options) error {
	switch arg.Name {
	case "pathname", "path", "file_path", "old_path", "oldpath":
		return arg.text(&a.path, opts)
	case "new_path", "newpath":
		return arg.text(&a.newPath, opts)
	case "flags":
		a.flags = arg.flags()
		return nil
	case "argv":
		if len(a.argv) > 0 {
			return nil
		}
		a.argv = arg.StrArray.Value
		return arg.decode(&a.argv, opts)
	case "addr":
		if arg.Value.Kind() == '"' {
			return nil // ptrace has an addr too, of memory
		}
		return arg.address(&a.dst, opts)
	case "remote_addr", "dest_addr":
		return arg.address(&a.dst, opts)
	case "local_addr":
		return arg.address(&a.src, opts)
	case "IP address", "ip", "dst":
		return arg.ip(&a.dst, opts)
	case "src":
		return arg.ip(&a.src, opts)
	case "Port", "dst_port":
		return arg.port(&a.dst, opts)
	case "src_port":
		return arg.port(&a.src, opts)
	case "metadata":
		var p packet
		err := arg.decode(&p, opts)
		setEndpoint(&a.src, p.SrcIP, p.SrcPort)
		setEndpoint(&a.dst, p.DstIP, p.DstPort)
		return err
	case "proto_dns":
		var d protoDNS
		err := arg.decode(&d, opts)
		a.dns = d.normalized()
		return err
	case "dns_questions":
		var list []dnsQuestion
		err := arg.decode(&list, opts)
		a.dns = &proto.DNS{Type: "query"}
		for _, q := range list {
			q.addTo(a.dns)
		}
		return err
	case "dns_response":
		var list []dnsResponse
		err := arg.decode(&list, opts)
		a.dns = &proto.DNS{Type: "answer"}
		for _, r := range list {
			r.Question.addTo(a.dns)
			for _, answer := range r.Answers {
				a.dns.Answers = append(a.dns.Answers, answer.Value)
			}
		}
		return err
	case "proto_http", "http_request", "http_response":
		var h protoHTTP
		err := arg.decode(&h, opts)
		a.http = h.normalized()
		return err
	case "detectedFrom":
		// It comes after the signature's own arguments, see read.
		var c cause
		err := arg.decode(&c, opts)
		return cmp.Or(a.read(c.Args, opts), err)
	}
	return nil
}

// decode decodes a v0.24 value, if there is one.
func (arg *argument) decode(out any, opts []json.Options) error {
	if len(arg.Value) == 0 {
		return nil
	}
	return json.Unmarshal(arg.Value, out, opts...)
}

func (arg *argument) text(out *string, opts []json.Options) error {
	if *out != "" {
		return nil
	}
	*out = arg.Str
	return arg.decode(out, opts)
}

// flags are the flags of an open: names or a number in v0.24, a number in v1beta1.
func (arg *argument) flags() string {
	if len(arg.Value) > 0 {
		return strings.Trim(string(arg.Value), `"`)
	}
	return strconv.FormatInt(arg.Int32, 10)
}

// accessMode masks what an open may do in its flags: 1 to write, 2 to do both
// (open(2) of Linux, on all of its architectures).
const accessMode = 3

// access is how an open with these flags may use the file.
func access(flags string) string {
	n, err := strconv.ParseInt(flags, 0, 64)
	if err == nil && n&accessMode != 0 || err != nil && (strings.Contains(flags, "O_WRONLY") || strings.Contains(flags, "O_RDWR")) {
		return "write"
	}
	return "read"
}

func (arg *argument) ip(out *proto.Endpoint, opts []json.Options) error {
	var s string
	err := arg.text(&s, opts)
	if out.IP == "" && out.Path == "" {
		out.IP = normalize.Address(s)
	}
	return err
}

func (arg *argument) port(out *proto.Endpoint, opts []json.Options) error {
	var p port
	if arg.UInt32 <= math.MaxUint16 {
		p = port(arg.UInt32)
	}
	err := arg.decode(&p, opts)
	if out.Port == 0 {
		out.Port = int(p)
	}
	return err
}

func (arg *argument) address(out *proto.Endpoint, opts []json.Options) error {
	var s sockAddr
	if arg.SockAddr != nil {
		s = *arg.SockAddr
	}
	err := arg.decode(&s, opts)
	if s.IPv6 != "" {
		setEndpoint(out, s.IPv6, s.IPv6Port)
	} else {
		setEndpoint(out, s.IPv4, s.IPv4Port)
	}
	if *out == (proto.Endpoint{}) {
		out.Path = s.Path
	}
	return err
}

// setEndpoint fills out, or adds the port to an address that has none.
func setEndpoint(out *proto.Endpoint, ip string, p port) {
	ip = normalize.Address(ip)
	if out.Path != "" || ip == "" || out.IP != "" && out.IP != ip {
		return
	}
	out.IP = ip
	if out.Port == 0 {
		out.Port = int(p)
	}
}

func (d *protoDNS) normalized() *proto.DNS {
	out := &proto.DNS{Type: "query"}
	if d.QR == 1 {
		out.Type = "answer"
	}
	for _, q := range d.Questions {
		out.Names = append(out.Names, q.Name)
		out.RRType = cmp.Or(out.RRType, q.Type)
	}
	for _, a := range d.Answers {
		if v := cmp.Or(a.IP, a.CNAME); v != "" {
			out.Answers = append(out.Answers, v)
		}
	}
	return out
}

func (q *dnsQuestion) addTo(out *proto.DNS) {
	if q.Query != "" {
		out.Names = append(out.Names, q.Query)
	}
	out.RRType = cmp.Or(out.RRType, q.Type)
}

func (h *protoHTTP) normalized() *proto.HTTP {
	return &proto.HTTP{
		Method:      h.Method,
		Hostname:    h.Host,
		Path:        normalize.URLPath(h.Path),
		UserAgent:   http.Header(h.Headers).Get("User-Agent"),
		Status:      h.Status,
		ContentType: http.Header(h.Headers).Get("Content-Type"),
		Length:      max(h.Length, 0), // -1 is an unknown one
	}
}
