package detect

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// Mode is what follows from a rule's findings.
type Mode uint8

// The modes.
const (
	Off     Mode = iota // the rule is not run
	Observe             // it reports
	Enforce             // it reports, and stops what it was found in
)

var modeNames = [...]string{"off", "observe", "enforce"}

// String returns the mode's word in a setting.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// Names of the rules.
const (
	KeyLeak          = "key-leak"
	Canary           = "canary"
	Secret           = "secret"
	SecretInPrompt   = "secret-in-prompt"
	DangerousCommand = "dangerous-command"
	InjectionMarker  = "injection-marker"
	HiddenUnicode    = "hidden-unicode"
	ToolDrift        = "tool-drift"
	RunawayLoop      = "runaway-loop"
	RemoteContent    = "remote-content"
	LinkExfil        = "link-exfil"
)

// Rule describes one detection.
type Rule struct {
	Name        string
	Description string
	Severity    proto.Severity // of its worst finding
	Default     Mode
}

// Rules returns every rule, the gravest first.
func Rules() []Rule {
	return []Rule{
		{KeyLeak, "the provider key that the proxy holds, plain, encoded or spelled out, in a prompt, an answer or a tool call", proto.SeverityCritical, Enforce},
		{Canary, "a canary value, plain, encoded or spelled out, in a prompt, an answer or a tool call", proto.SeverityCritical, Enforce},
		{DangerousCommand, "a tool call that runs downloads, opens a reverse shell, reads credentials, persists, destroys or blinds", proto.SeverityCritical, Observe},
		{Secret, "a secret in a tool call that heads for the network", proto.SeverityHigh, Observe},
		{LinkExfil, "a link or an image in an answer whose address carries data", proto.SeverityHigh, Observe},
		{RunawayLoop, "the same tool call, or requests, far more often than a task needs", proto.SeverityHigh, Observe},
		{InjectionMarker, "text that is not the user's and gives the model orders", proto.SeverityMedium, Observe},
		{HiddenUnicode, "characters that a person does not see and a model reads", proto.SeverityMedium, Observe},
		{ToolDrift, "a tool whose definition is not the one seen first", proto.SeverityMedium, Observe},
		{RemoteContent, "content that the request only names: the provider fetches it, has stored it, or asks a server for it", proto.SeverityMedium, Observe},
		{SecretInPrompt, "a secret that goes to the provider", proto.SeverityLow, Observe},
	}
}

// Modes are the modes of rules by name; a rule that is not in it has its
// default.
type Modes map[string]Mode

// UnmarshalText reads a setting such as "secret=enforce,hidden-unicode=off".
// Its error names everything that is wrong with it, and the known rules.
func (m *Modes) UnmarshalText(text []byte) error {
	modes := make(Modes)
	var errs []error
	unknown := false
	for part := range strings.SplitSeq(string(text), ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, word, ok := strings.Cut(part, "=")
		name, word = strings.TrimSpace(name), strings.TrimSpace(word)
		mode := slices.Index(modeNames[:], word)
		_, twice := modes[name]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%.100q is not of the form rule=mode", part))
		case !isRule(name):
			unknown = true
			errs = append(errs, fmt.Errorf("no rule is called %.100q", name))
		case mode < 0:
			errs = append(errs, fmt.Errorf("%s: %.100q is not one of %s", name, word, strings.Join(modeNames[:], ", ")))
		case twice:
			errs = append(errs, fmt.Errorf("%s is set twice", name))
		default:
			modes[name] = Mode(mode)
		}
	}
	if unknown {
		errs = append(errs, fmt.Errorf("the rules are %s", strings.Join(ruleNames(), ", ")))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	*m = modes
	return nil
}

// Validate reports modes of rules that do not exist.
func (m Modes) Validate() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !isRule(name) {
			errs = append(errs, fmt.Errorf("no rule is called %.100q", name))
		}
	}
	return errors.Join(errs...)
}

func (m Modes) of(r Rule) Mode {
	if mode, ok := m[r.Name]; ok {
		return mode
	}
	return r.Default
}

func isRule(name string) bool { return slices.Contains(ruleNames(), name) }

func ruleNames() []string {
	var names []string
	for _, r := range Rules() {
		names = append(names, r.Name)
	}
	return names
}
