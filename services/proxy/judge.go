package proxy

import (
	"context"
	"slices"

	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
	"github.com/openclaw-security/bus/services/proxy/internal/guard"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
	"github.com/openclaw-security/bus/services/proxy/internal/policy"
)

// judge puts what goes through one exchange before the detections and the guard,
// has the policy decide, and keeps the verdicts in the exchange's record.
type judge struct {
	detector *detect.Detector
	guard    *guard.Client // nil if there is none
	record   *record
	told     map[string]bool // what has been found in the answer's texts
}

// request judges a request.
func (j *judge) request(ctx context.Context, r *inspect.Request) *policy.Verdict {
	findings := j.detector.Request(ctx, j.record.Client, r)
	if err := ctx.Err(); err != nil {
		return policy.Gone(err)
	}
	v := j.found(findings, "")
	if !v.Passes() || j.guard == nil {
		return v
	}
	texts := make([][]byte, 0, len(r.Segments))
	for _, s := range r.Segments {
		if s.Kind != inspect.KindData {
			texts = append(texts, s.Text)
		}
	}
	return j.ask(ctx, texts, detect.InRequest, "")
}

// toolCall judges a tool call of the answer.
func (j *judge) toolCall(ctx context.Context, call llmapi.ToolCall) *policy.Verdict {
	v := j.found(j.detector.ToolCall(j.record.Client, call), call.Name)
	if !v.Passes() || j.guard == nil {
		return v
	}
	text := append(append([]byte(call.Name), ' '), call.Arguments...)
	return j.ask(ctx, [][]byte{text}, detect.InToolCall, call.Name)
}

// text returns what judges one of the answer's texts, piece by piece. The guard is not
// asked about it: text does nothing until it becomes a request, and a call is judged
// by itself. Of its arguments, which go on before that, only what may go nowhere is
// looked for.
func (j *judge) text(ctx context.Context, about answer.Text) func([]byte) error {
	watch := j.detector.Answer(j.record.Client, about.Kind == answer.Content)
	said := j.record.addText(about)
	return func(text []byte) error {
		if text == nil {
			return j.found(j.news(about, watch.End()), "").Err()
		}
		said(text)
		var findings []detect.Finding
		for part := range slices.Chunk(text, maxAtOnce) {
			if err := ctx.Err(); err != nil {
				return policy.Gone(err).Err()
			}
			findings = append(findings, watch.Write(part)...)
		}
		return j.found(j.news(about, findings), "").Err()
	}
}

// news are the findings that say something new: texts that mirror each other are
// reported once.
func (j *judge) news(about answer.Text, findings []detect.Finding) []detect.Finding {
	if about.Kind == answer.Arguments {
		for i := range findings {
			findings[i].Where = detect.InToolCall
		}
	}
	return slices.DeleteFunc(findings, func(f detect.Finding) bool {
		if about.Kind == answer.Arguments {
			return !f.Enforced
		}
		what := f.Rule + " " + f.Detail
		known := j.told[what]
		if j.told == nil {
			j.told = make(map[string]bool)
		}
		j.told[what] = true
		return known && !f.Enforced
	})
}

// maxAtOnce is how many bytes of an answer are looked at before the next look whether
// the client is still there.
const maxAtOnce = 1 << 20

func (j *judge) found(findings []detect.Finding, tool string) *policy.Verdict {
	v := policy.Found(j.record.RequestID, findings)
	j.record.addVerdict(v, tool)
	return v
}

// ask asks the guard, about what the detections let pass.
func (j *judge) ask(ctx context.Context, texts [][]byte, where, tool string) *policy.Verdict {
	v := policy.Judged(j.record.RequestID, where, j.guard.Check(ctx, texts))
	j.record.addVerdict(v, tool)
	return v
}
