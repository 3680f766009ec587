package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/openclaw-security/bus/services/testing/llmreplay/said"
)

// shown is how many differences of a kind are shown without -all.
const shown = 3

// summarize prints a table, and what differs.
func summarize(out io.Writer, attempts []*attempt, all bool) {
	type row struct {
		interactions map[*recording]bool
		replays      int
		differing    map[part]int
		any          int
	}
	rows := make(map[said.API]*row)
	for _, a := range attempts {
		name := said.APIOf(a.recording.Request.Path)
		r := rows[name]
		if r == nil {
			r = &row{interactions: make(map[*recording]bool), differing: make(map[part]int)}
			rows[name] = r
		}
		r.interactions[a.recording] = true
		r.replays++
		in := make(map[part]bool)
		for _, d := range a.differences {
			in[d.part] = true
		}
		for p := range in {
			r.differing[p]++
		}
		if len(in) > 0 {
			r.any++
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "api\tinteractions\treplays\tanswer differs\trequest differs\trecord differs\tany\t")
	for _, name := range []said.API{said.Messages, said.Count, said.Chat, said.Responses, said.Gemini, said.Embeddings, said.Other} {
		if r := rows[name]; r != nil {
			fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", name, len(r.interactions), r.replays,
				r.differing[inAnswer], r.differing[inRequest], r.differing[inRecord], r.any)
		}
	}
	_ = table.Flush()
	counted(out, "Findings", attempts, func(a *attempt) (rules []string) {
		if a.entry.End != nil {
			for _, f := range a.entry.End.Findings {
				rules = append(rules, f.Rule)
			}
		}
		return rules
	})
	counted(out, "Request headers that did not arrive", attempts, func(a *attempt) []string { return a.lost })
	counted(out, "Streams in which", attempts, func(a *attempt) []string {
		if a.moved {
			return []string{"comments or pings have passed a held call"}
		}
		return nil
	})
	kinds := make(map[string]int)
	for _, a := range attempts {
		for _, d := range a.differences {
			kind := string(d.part) + ": " + d.what
			if kinds[kind]++; all || kinds[kind] <= shown {
				fmt.Fprintf(out, "\n%s\n", a.describe(d))
			}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if more := kinds[kind] - shown; more > 0 && !all {
			fmt.Fprintf(out, "\n%d more: %s (-all shows them)\n", more, kind)
		}
	}
}

// describe says what differs.
func (a *attempt) describe(d difference) string {
	s := fmt.Sprintf("%s, %s: %s: %s\n  want %s\n  got  %s", a.recording.Name, a.framing, d.part, d.what, d.want, d.got)
	if a.err != nil {
		s += "\n  the connection: " + a.err.Error()
	}
	if a.entry.End != nil && a.entry.End.Reason != "" {
		s += "\n  the record: " + a.entry.End.Reason
	}
	return s
}

// counted prints how often each of the words comes, one line for all.
func counted(out io.Writer, title string, attempts []*attempt, words func(*attempt) []string) {
	times := make(map[string]int)
	for _, a := range attempts {
		for _, w := range words(a) {
			times[w]++
		}
	}
	if len(times) == 0 {
		return
	}
	var parts []string
	for _, w := range slices.Sorted(maps.Keys(times)) {
		parts = append(parts, fmt.Sprintf("%s %d", w, times[w]))
	}
	fmt.Fprintf(out, "%s: %s\n", title, strings.Join(parts, ", "))
}
