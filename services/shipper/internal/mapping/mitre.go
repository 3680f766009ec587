package mapping

import (
	"regexp"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

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
