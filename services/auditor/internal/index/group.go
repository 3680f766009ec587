package index

import (
	"cmp"
	"strings"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
)

// maxName is how many bytes of a name count. Names come from requests.
const maxName = 256

// group is what requests are summed up by.
type group struct {
	client, provider string
	model            string // that answered or, if none said so, that was asked for
	asked            string
	decision         proto.Decision
	status           int
}

func groupOf(a *proto.Audit) group {
	return group{
		client:   name(a.Client),
		provider: name(a.Provider),
		model:    name(cmp.Or(a.ResponseModel, a.RequestModel)),
		asked:    name(a.RequestModel),
		decision: proto.Decision(name(string(a.Decision))),
		status:   a.Status,
	}
}

// toolOf is the tool that a call names.
func toolOf(c proto.ToolCall) string { return cmp.Or(name(c.Name), "unnamed") }

func name(s string) string {
	if len(s) <= maxName {
		return s
	}
	cut := maxName
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.Clone(s[:cut])
}
