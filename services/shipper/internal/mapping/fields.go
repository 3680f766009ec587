package mapping

import (
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

// setter puts a value that is not null into an event, or says that it does not
// fit. Nothing is put in for "" and 0, which stand for nothing in an event.
type setter func(e *proto.Event, v any) bool

// setters are the fields that a mapping may fill, by their names in the event's
// JSON form. Some are not here: those that a mapping has a place of its own for;
// id, host, source, origin, line, raw and gap, which are the shipper's; and tags,
// which are remarks on the event.
var setters = map[string]setter{
	"action": text(func(e *proto.Event) *string { return &e.Action }),
	"mitre":  techniques,

	"rule.id":       text(func(e *proto.Event) *string { return &made(&e.Rule).ID }),
	"rule.name":     text(func(e *proto.Event) *string { return &made(&e.Rule).Name }),
	"rule.category": text(func(e *proto.Event) *string { return &made(&e.Rule).Category }),
	"rule.revision": whole(math.MaxInt64, func(e *proto.Event, n int64) { made(&e.Rule).Revision = n }),

	"src.ip":       edited(normalize.Address, func(e *proto.Event) *string { return &made(&e.Src).IP }),
	"src.port":     whole(math.MaxUint16, func(e *proto.Event, n int64) { made(&e.Src).Port = int(n) }),
	"src.hostname": text(func(e *proto.Event) *string { return &made(&e.Src).Hostname }),
	"src.path":     text(func(e *proto.Event) *string { return &made(&e.Src).Path }),
	"dst.ip":       edited(normalize.Address, func(e *proto.Event) *string { return &made(&e.Dst).IP }),
	"dst.port":     whole(math.MaxUint16, func(e *proto.Event, n int64) { made(&e.Dst).Port = int(n) }),
	"dst.hostname": text(func(e *proto.Event) *string { return &made(&e.Dst).Hostname }),
	"dst.path":     text(func(e *proto.Event) *string { return &made(&e.Dst).Path }),

	"network.transport":       edited(strings.ToLower, func(e *proto.Event) *string { return &made(&e.Network).Transport }),
	"network.app_protocol":    text(func(e *proto.Event) *string { return &made(&e.Network).AppProtocol }),
	"network.direction":       text(func(e *proto.Event) *string { return &made(&e.Network).Direction }),
	"network.community_id":    text(func(e *proto.Event) *string { return &made(&e.Network).CommunityID }),
	"network.flow_id":         text(func(e *proto.Event) *string { return &made(&e.Network).FlowID }),
	"network.state":           text(func(e *proto.Event) *string { return &made(&e.Network).State }),
	"network.bytes_to_server": whole(math.MaxInt64, func(e *proto.Event, n int64) { made(&e.Network).BytesToServer = n }),
	"network.bytes_to_client": whole(math.MaxInt64, func(e *proto.Event, n int64) { made(&e.Network).BytesToClient = n }),
	"network.pkts_to_server":  whole(math.MaxInt64, func(e *proto.Event, n int64) { made(&e.Network).PktsToServer = n }),
	"network.pkts_to_client":  whole(math.MaxInt64, func(e *proto.Event, n int64) { made(&e.Network).PktsToClient = n }),

	"dns.type":    text(func(e *proto.Event) *string { return &made(&e.DNS).Type }),
	"dns.names":   list(func(e *proto.Event) *[]string { return &made(&e.DNS).Names }),
	"dns.rrtype":  text(func(e *proto.Event) *string { return &made(&e.DNS).RRType }),
	"dns.rcode":   text(func(e *proto.Event) *string { return &made(&e.DNS).RCode }),
	"dns.answers": list(func(e *proto.Event) *[]string { return &made(&e.DNS).Answers }),

	"http.method":       text(func(e *proto.Event) *string { return &made(&e.HTTP).Method }),
	"http.hostname":     text(func(e *proto.Event) *string { return &made(&e.HTTP).Hostname }),
	"http.path":         edited(normalize.URLPath, func(e *proto.Event) *string { return &made(&e.HTTP).Path }),
	"http.user_agent":   text(func(e *proto.Event) *string { return &made(&e.HTTP).UserAgent }),
	"http.status":       whole(999, func(e *proto.Event, n int64) { made(&e.HTTP).Status = int(n) }),
	"http.content_type": text(func(e *proto.Event) *string { return &made(&e.HTTP).ContentType }),
	"http.length":       whole(math.MaxInt64, func(e *proto.Event, n int64) { made(&e.HTTP).Length = n }),

	"tls.sni":     text(func(e *proto.Event) *string { return &made(&e.TLS).SNI }),
	"tls.version": text(func(e *proto.Event) *string { return &made(&e.TLS).Version }),
	"tls.ja3":     text(func(e *proto.Event) *string { return &made(&e.TLS).JA3 }),
	"tls.ja3s":    text(func(e *proto.Event) *string { return &made(&e.TLS).JA3S }),
	"tls.ja4":     text(func(e *proto.Event) *string { return &made(&e.TLS).JA4 }),
	"tls.subject": text(func(e *proto.Event) *string { return &made(&e.TLS).Subject }),
	"tls.issuer":  text(func(e *proto.Event) *string { return &made(&e.TLS).Issuer }),

	"file.path":   text(func(e *proto.Event) *string { return &made(&e.File).Path }),
	"file.access": text(func(e *proto.Event) *string { return &made(&e.File).Access }),
	"file.size":   whole(math.MaxInt64, func(e *proto.Event, n int64) { made(&e.File).Size = n }),
	"file.sha256": text(func(e *proto.Event) *string { return &made(&e.File).SHA256 }),
	"file.type":   text(func(e *proto.Event) *string { return &made(&e.File).Type }),

	"process.name":       text(func(e *proto.Event) *string { return &made(&e.Process).Name }),
	"process.executable": text(func(e *proto.Event) *string { return &made(&e.Process).Executable }),
	"process.args":       commandLine,
	"process.pid":        whole(math.MaxInt64, func(e *proto.Event, n int64) { made(&e.Process).PID = n }),
	"process.parent_pid": whole(math.MaxInt64, func(e *proto.Event, n int64) { made(&e.Process).ParentPID = n }),
	"process.uid":        user,

	"container.id":    text(func(e *proto.Event) *string { return &made(&e.Container).ID }),
	"container.name":  text(func(e *proto.Event) *string { return &made(&e.Container).Name }),
	"container.image": text(func(e *proto.Event) *string { return &made(&e.Container).Image }),
}

// made returns what *p points to, having made it if there was nothing.
func made[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

func text(at func(*proto.Event) *string) setter {
	return edited(func(s string) string { return s }, at)
}

// edited sets a text that edit has brought into its usual form.
func edited(edit func(string) string, at func(*proto.Event) *string) setter {
	return func(e *proto.Event, v any) bool {
		s, ok := textOf(v)
		if s = edit(s); s != "" {
			*at(e) = s
		}
		return ok
	}
}

// whole sets an integer of 0 to limit.
func whole(limit int64, set func(*proto.Event, int64)) setter {
	return func(e *proto.Event, v any) bool {
		n, ok := integerOf(v, limit)
		if n != 0 {
			set(e, n)
		}
		return ok
	}
}

// user sets the user id, for which 0 is not nothing: it is root.
func user(e *proto.Event, v any) bool {
	n, ok := integerOf(v, math.MaxInt64)
	if ok {
		made(&e.Process).UID = &n
	}
	return ok
}

func list(at func(*proto.Event) *[]string) setter {
	return func(e *proto.Event, v any) bool {
		texts, ok := textsOf(v)
		if len(texts) > 0 {
			*at(e) = texts
		}
		return ok
	}
}

// commandLine sets the arguments. One text is split at white space, which may
// part an argument.
func commandLine(e *proto.Event, v any) bool {
	args, ok := textsOf(v)
	if text, isText := v.(string); isText {
		args = strings.Fields(text)
	}
	if len(args) > 0 {
		made(&e.Process).Args = args
	}
	return ok
}

func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case int64: // a constant of the mapping
		return strconv.FormatInt(v, 10), true
	}
	return "", false
}

// textsOf reads a list of texts, or one text. Of a list it takes the texts that
// there are.
func textsOf(v any) (texts []string, ok bool) {
	elements, isList := v.([]any)
	if !isList {
		elements = []any{v}
	}
	ok = true
	for _, element := range elements {
		s, isText := textOf(element)
		ok = ok && isText
		if s != "" {
			texts = append(texts, s)
		}
	}
	return texts, ok
}

// integerOf reads an integer of 0 to limit, also one in quotes.
func integerOf(v any, limit int64) (int64, bool) {
	s, ok := textOf(v)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > limit {
		return 0, false
	}
	return n, true
}

// techniqueID is how MITRE ATT&CK writes a technique: T1059, T1552.005.
var techniqueID = regexp.MustCompile(`^T[0-9]{4}(\.[0-9]{3})?$`)

// tacticPrefix begins the words that Falco's rules name a tactic by, such as
// mitre_credential_access (https://falco.org/docs/concepts/rules/style-guide/).
const tacticPrefix = "mitre_"

// techniques reads a list of words of which some refer to MITRE ATT&CK. One
// tactic beside one technique belongs to it; otherwise nobody knows which belongs
// to which, and each is a reference of its own.
func techniques(e *proto.Event, v any) bool {
	words, ok := textsOf(v)
	var ids, tactics []proto.Technique
	for _, word := range words {
		if techniqueID.MatchString(word) {
			ids = append(ids, proto.Technique{ID: word})
		} else if tactic, found := strings.CutPrefix(word, tacticPrefix); found && tactic != "" {
			tactics = append(tactics, proto.Technique{Tactic: tacticName(tactic)})
		}
	}
	if len(ids) == 1 && len(tactics) == 1 {
		ids[0].Tactic = tactics[0].Tactic
		tactics = nil
	}
	e.MITRE = append(tactics, ids...)
	return ok
}

// tacticName makes "Command and Control" of "command_and_control".
func tacticName(word string) string {
	words := strings.Split(word, "_")
	for i, w := range words {
		if w != "" && w != "and" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}
