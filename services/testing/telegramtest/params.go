package telegramtest

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
)

// maxBody is the largest request that is read, in bytes.
const maxBody = 1 << 20

// params are a request's parameters as text: what is not a string is as it
// stands in JSON, which is how a form carries it too.
type params map[string]string

func (p params) text(name string) string { return p[name] }

func (p params) number(name string) int64 {
	n, _ := strconv.ParseInt(p[name], 10, 64)
	return n
}

func (p params) flag(name string) bool {
	return p[name] == "true" || p[name] == "True" || p[name] == "yes" || p[name] == "1"
}

// object decodes a parameter that is JSON into v, which stays as it is if there
// is none.
func (p params) object(name string, v any) error {
	if p[name] == "" {
		return nil
	}
	return json.Unmarshal([]byte(p[name]), v)
}

func readParams(r *http.Request) (params, *answer) {
	p := params{}
	p.addForm(r.URL.Query())
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	if len(body) > maxBody {
		return nil, failure(413, "Request Entity Too Large")
	}
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch contentType {
	case "application/json":
		var object map[string]json.RawMessage
		if err := json.Unmarshal(body, &object); err != nil {
			return nil, badRequest("can't parse JSON object")
		}
		p.addJSON(object)
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, badRequest("can't parse form data")
		}
		p.addForm(form)
	}
	return p, nil
}

func (p params) addForm(form url.Values) {
	for name := range form {
		p[name] = form.Get(name)
	}
}

func (p params) addJSON(object map[string]json.RawMessage) {
	for name, value := range object {
		var s string
		switch {
		case json.Unmarshal(value, &s) == nil: // null becomes the empty string
			p[name] = s
		default:
			p[name] = string(value)
		}
	}
}
