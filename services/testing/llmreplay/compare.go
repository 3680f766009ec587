package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/testing/llmreplay/said"
)

// part is what a difference is about.
type part string

// The parts.
const (
	inAnswer  part = "answer"
	inRequest part = "request"
	inRecord  part = "record"
)

// difference is what is not as it should be.
type difference struct {
	part      part
	what      string
	want, got string
}

func (a *attempt) differs(in part, what string, want, got any) {
	w, g := fmt.Sprint(want), fmt.Sprint(got)
	if w != g {
		at := 0
		for at < len(w) && at < len(g) && w[at] == g[at] {
			at++
		}
		a.differences = append(a.differences, difference{in, what, excerpt(w, at), excerpt(g, at)})
	}
}

// excerpt is where a text differs from another.
func excerpt(s string, at int) string {
	if len(s) <= 200 {
		return s
	}
	from, to := max(0, at-60), min(len(s), at+140)
	return fmt.Sprintf("(%d bytes, at %d) %q", len(s), from, s[from:to])
}

// compare finds the differences of an attempt.
func (a *attempt) compare() {
	expect := &a.recording.Expect
	wanted := cmp.Or(expect.Decision, proto.DecisionAllowed)
	response := a.recording.Response
	if response == nil {
		response = &response404
	}
	a.compareRequest()
	a.differs(inAnswer, "status", cmp.Or(expect.Status, response.Status), a.status)
	broken := response.Cut && a.recording.Expect.Status == 0
	a.differs(inAnswer, "connection", broken, a.err != nil)
	for name, values := range expect.Headers {
		a.differs(inAnswer, "header "+name, strings.Join(values, ", "), strings.Join(a.header.Values(name), ", "))
	}
	for _, text := range expect.Contains {
		a.differs(inAnswer, fmt.Sprintf("contains %q", text), true, bytes.Contains(a.body, []byte(text)))
	}
	for _, text := range expect.Lacks {
		a.differs(inAnswer, fmt.Sprintf("contains %q", text), false, bytes.Contains(a.body, []byte(text)))
	}
	pieces, err := response.pieces()
	if err != nil {
		a.differs(inAnswer, "recording", nil, err)
		return
	}
	given := bytes.Join(pieces, nil)
	switch {
	case expect.Body != nil:
		a.differs(inAnswer, "body", *expect.Body, string(a.body))
	case wanted == proto.DecisionAllowed:
		a.differs(inAnswer, "content type", response.header().Get("Content-Type"), a.header.Get("Content-Type"))
		a.compareBody(given, said.IsStream(response.header()))
	default:
		a.compareRefusal(given)
	}
	a.compareRecord(wanted, said.Listen(said.APIOf(a.recording.Request.Path), response.header(), given))
}

// response404 stands for the provider of a request that may not reach one.
var response404 = response{Status: http.StatusNotFound}

// usageOption is what the proxy may add to a request that streams, so that it knows what
// the answer costs.
const usageOption = `"stream_options":{"include_usage":true},`

// compareRequest compares what the provider was sent.
func (a *attempt) compareRequest() {
	one := a.recording
	expect := one.Expect.Upstream
	if expect == nil {
		expect = &upstream{}
	}
	n := len(one.Earlier)
	if one.Response != nil {
		n++
	}
	if expect.Requests != nil {
		n = *expect.Requests
	}
	a.differs(inRequest, "requests", n, len(a.sent))
	if len(a.sent) == 0 {
		return
	}
	got := a.sent[len(a.sent)-1]
	got.body = sameBoundary(got.body, got.header)
	a.differs(inRequest, "method", one.Request.Method, got.method)
	a.differs(inRequest, "path", cmp.Or(expect.Path, withoutKey(one.Request.Path)), got.uri)
	h := make(http.Header)
	one.Request.Headers.set(h)
	switch content := sameBoundary(one.Request.bytes(), h); {
	case expect.Body != nil:
		a.differs(inRequest, "body", *expect.Body, string(got.body))
	case said.APIOf(one.Request.Path) == said.Chat && len(got.body) > len(content):
		a.differs(inRequest, "body", string(content), strings.Replace(string(got.body), usageOption, "", 1))
	default:
		a.differs(inRequest, "body", string(content), string(got.body))
	}
	for name, value := range expect.Headers {
		if value == nil {
			a.differs(inRequest, "header "+name, "", strings.Join(got.header.Values(name), ", "))
		} else {
			a.differs(inRequest, "header "+name, *value, strings.Join(got.header.Values(name), ", "))
		}
	}
	for name := range h {
		if name == "Content-Type" && isForm(h) != "" {
			continue // it names the boundary
		}
		if !slices.Contains(credentials, name) && !slices.Equal(h.Values(name), got.header.Values(name)) {
			a.lost = append(a.lost, name)
		}
	}
}

// sameBoundary is the body of a form with the boundary that all forms have here: the proxy
// chooses its own.
func sameBoundary(body []byte, h http.Header) []byte {
	if boundary := isForm(h); boundary != "" {
		return bytes.ReplaceAll(body, []byte("--"+boundary), []byte("--boundary"))
	}
	return body
}

// isForm is the boundary of a body of parts, empty if it is something else.
func isForm(h http.Header) string {
	media, parameters, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(media, "multipart/") {
		return ""
	}
	return parameters["boundary"]
}

// withoutKey is a path without the credential that Google's clients put there.
func withoutKey(path string) string {
	path, query, found := strings.Cut(path, "?")
	if !found {
		return path
	}
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(p string) bool {
		name, _, _ := strings.Cut(p, "=")
		name, _ = url.QueryUnescape(name)
		return name == "key"
	})
	if len(kept) == 0 {
		return path
	}
	return path + "?" + strings.Join(kept, "&")
}

// compareBody compares the answer with what the provider has sent. Of a stream, comments
// and pings may come earlier.
func (a *attempt) compareBody(given []byte, stream bool) {
	if bytes.Equal(given, a.body) || !stream {
		a.differs(inAnswer, "body", string(given), string(a.body))
		return
	}
	order := func(stream []byte) (inOrder, aside string) {
		for _, e := range said.Events(stream) {
			if e.Aside() {
				aside += string(e.Raw)
			} else {
				inOrder += string(e.Raw)
			}
		}
		return inOrder, aside
	}
	wantOrder, wantAside := order(given)
	inOrder, aside := order(a.body)
	a.differs(inAnswer, "body", wantOrder, inOrder)
	a.differs(inAnswer, "comments and pings", wantAside, aside)
	a.moved = inOrder == wantOrder && aside == wantAside
}

// compareRefusal checks an answer that was stopped: what comes before is the provider's,
// it ends with an error of this proxy in the provider's form, and no client can act on a
// call that was refused.
func (a *attempt) compareRefusal(given []byte) {
	before, last := []byte(nil), a.body
	switch all := said.Events(a.body); {
	case a.err != nil:
		before, last = a.body, nil
	case said.IsStream(a.header) && a.status == http.StatusOK && len(all) > 0:
		f := all[len(all)-1]
		before, last = a.body[:len(a.body)-len(f.Raw)], f.Data
	}
	if !contained(before, given) {
		a.differs(inAnswer, "what comes before the error", "the provider's", excerpt(string(before), 0))
	}
	var refused struct {
		Error   json.RawMessage
		Message string
	}
	switch {
	case a.err != nil || a.recording.Request.Method == http.MethodHead:
	case json.Unmarshal(last, &refused) != nil || refused.Error == nil && refused.Message == "":
		a.differs(inAnswer, "end", "an error", excerpt(string(last), 0))
	case !bytes.Contains(last, []byte("proxy")):
		a.differs(inAnswer, "error", "says that it is the proxy's", excerpt(string(last), 0))
	}
	for _, call := range said.Listen(said.APIOf(a.recording.Request.Path), a.header, a.body).Calls {
		released := slices.ContainsFunc(a.recording.Expect.Calls, func(c calledTool) bool {
			return c.ID == call.ID && c.Name == call.Name && cmp.Or(c.Verdict, proto.DecisionAllowed) == proto.DecisionAllowed
		})
		if call.Whole() && !released {
			a.differs(inAnswer, "call "+call.Name, "cannot be acted on", "whole: "+call.Arguments)
		}
	}
}

// contained reports whether every event of a stream stands in another, in its order. The
// last may be cut.
func contained(part, whole []byte) bool {
	for _, f := range said.Events(part) {
		if f.Aside() {
			continue
		}
		text := bytes.TrimRight(f.Raw, "\r\n")
		i := bytes.Index(whole, text)
		if i < 0 {
			return false
		}
		whole = whole[i+len(text):]
	}
	return true
}
