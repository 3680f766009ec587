package rules

import (
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/expr"
)

// tagPrefix precedes a rule's name in the tags of the events that it matched.
const tagPrefix = "rule:"

// titlePlaceholder stands in a rule's title for the event's own.
const titlePlaceholder = "{title}"

// maxTitle bounds a title, in characters, as the normalizer does.
const maxTitle = 200

// rule is a rule as it stands in the file, compiled. A nil pointer and an empty
// title mean that the rule does not say.
type rule struct {
	name     string
	source   string // "" for every source
	kinds    []string
	when     *expr.Expr // nil for always
	needsRaw bool       // the condition looks at the sensor's own record

	raise, lower, drop *proto.Severity
	title              string
	tags               []string

	failed sync.Once // logs the first failure of the condition
}

// match says whether the condition holds.
func (r *rule) match(document map[string]any) (bool, error) {
	if r.when == nil {
		return true, nil
	}
	return r.when.Match(document)
}

// change makes of e what the rule says; sensorTitle is the title that e came with.
func (r *rule) change(e *proto.Event, sensorTitle string) {
	if r.raise != nil {
		e.SetSeverity(max(e.Severity, *r.raise))
	}
	if r.lower != nil {
		e.SetSeverity(min(e.Severity, *r.lower))
	}
	if r.title != "" {
		e.Title = clip(strings.ReplaceAll(r.title, titlePlaceholder, sensorTitle))
	}
	addTag(e, tagPrefix+r.name)
	for _, tag := range r.tags {
		addTag(e, tag)
	}
}

// clip cuts a title to maxTitle characters.
func clip(title string) string {
	if utf8.RuneCountInString(title) <= maxTitle {
		return title
	}
	return string([]rune(title)[:maxTitle-1]) + "…"
}

func addTag(e *proto.Event, tag string) {
	for _, t := range e.Tags {
		if t == tag {
			return
		}
	}
	e.Tags = append(e.Tags, tag)
}
