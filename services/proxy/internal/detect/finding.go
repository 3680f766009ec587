package detect

import "github.com/openclaw-security/bus/proto"

// Where a finding was made; the words of proto.Finding.
const (
	InRequest  = "request"
	InResponse = "response"
	InToolCall = "tool_call"
)

// Finding is what a rule saw.
type Finding struct {
	Rule     string
	Severity proto.Severity
	Where    string // InRequest, InResponse or InToolCall
	Path     string // of the segment, for what was found in a request's text
	Detail   string // what was seen, in a few fixed words and numbers: nothing of the text itself
	Enforced bool   // it is not to pass
}

// maxFindings bounds what is told of one request or call.
const maxFindings = 32

// findings is a bounded list.
type findings struct {
	list     []Finding
	enforced bool
}

func (l *findings) add(f Finding) {
	if len(l.list) == maxFindings {
		if !f.Enforced || l.enforced {
			return
		}
		l.list = l.list[:maxFindings-1]
	}
	l.enforced = l.enforced || f.Enforced
	l.list = append(l.list, f)
}
