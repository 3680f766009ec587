package said

import "bytes"

// Event is a server-sent event, with the line that ends it.
type Event struct {
	Raw  []byte
	Name string
	Data []byte // of all its data lines
}

// Aside reports whether it says nothing about the answer: a comment, or a ping. While a
// call is held, these pass it, so that the connection stays alive.
func (e Event) Aside() bool {
	return len(e.Data) == 0 || e.Name == "ping" || bytes.Contains(e.Data, []byte(`"type":"ping"`)) || bytes.Contains(e.Data, []byte(`"type": "ping"`))
}

// Events are the events of a stream. What follows the last one, without an empty line,
// is one, too.
func Events(stream []byte) []Event {
	var all []Event
	var f Event
	begin, rest := 0, stream
	for len(rest) > 0 {
		line, after := cutLine(rest)
		rest = after
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "data":
			if f.Data != nil {
				f.Data = append(f.Data, '\n')
			}
			f.Data = append(f.Data, value...)
		case "event":
			f.Name = string(value)
		}
		if end := len(stream) - len(rest); len(line) == 0 || len(rest) == 0 {
			f.Raw = stream[begin:end]
			all = append(all, f)
			begin, f = end, Event{}
		}
	}
	return all
}

// cutLine cuts a line off, which ends in LF, CR or both.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexAny(b, "\r\n")
	if i < 0 {
		return b, nil
	}
	line, rest = b[:i], b[i+1:]
	if b[i] == '\r' && bytes.HasPrefix(rest, []byte("\n")) {
		rest = rest[1:]
	}
	return line, rest
}
