package proto_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
)

// TestAppendJSONMatchesType holds AppendJSON to the struct tags: for every field
// on its own and for every field missing, it writes what encoding/json writes.
// A field that AppendJSON forgets fails here.
func TestAppendJSONMatchesType(t *testing.T) {
	t.Parallel()
	full := filledEvent()
	compareJSON(t, "full", full)
	compareJSON(t, "zero", &proto.Event{})
	compareJSON(t, "empty parts", emptyParts())
	for _, path := range leaves(reflect.TypeFor[proto.Event](), nil) {
		name := pathName(path)
		only := &proto.Event{}
		leaf(reflect.ValueOf(only), path).Set(leaf(reflect.ValueOf(full), path))
		compareJSON(t, "only "+name, only)

		without := filledEvent()
		leaf(reflect.ValueOf(without), path).SetZero()
		compareJSON(t, "without "+name, without)
	}
}

func compareJSON(t *testing.T, name string, e *proto.Event) {
	t.Helper()
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if got := string(e.AppendJSON(nil)) + "\n"; got != want.String() {
		t.Errorf("%s:\ngot  %swant %s", name, got, want.String())
	}
}

// emptyParts has every pointer set to a zero value and every slice non-nil.
func emptyParts() *proto.Event {
	e := &proto.Event{}
	v := reflect.ValueOf(e).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 0, 0))
		}
	}
	e.Process.UID = new(int64)
	return e
}

func filledEvent() *proto.Event {
	e := &proto.Event{}
	n := 0
	for _, path := range leaves(reflect.TypeFor[proto.Event](), nil) {
		n++
		fill(leaf(reflect.ValueOf(e), path), n)
	}
	return e
}

// leaves lists the index paths of the fields of t that are no structs of ours.
// A slice of structs counts as its first element.
func leaves(t reflect.Type, path []reflect.StructField) [][]reflect.StructField {
	var all [][]reflect.StructField
	for i := range t.NumField() {
		f := t.Field(i)
		p := append(path[:len(path):len(path)], f)
		inner := f.Type
		if inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
			all = append(all, leaves(inner, p)...)
		} else {
			all = append(all, p)
		}
	}
	return all
}

// leaf returns the field at a path, making what it passes through.
func leaf(v reflect.Value, path []reflect.StructField) reflect.Value {
	for _, f := range path {
		switch v.Kind() {
		case reflect.Pointer:
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		case reflect.Slice:
			if v.Len() == 0 {
				v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			}
			v = v.Index(0)
		}
		v = v.FieldByIndex(f.Index)
	}
	return v
}

func pathName(path []reflect.StructField) string {
	names := make([]string, len(path))
	for i, f := range path {
		names[i] = f.Name
	}
	return strings.Join(names, ".")
}

// fill sets v to a value that, if its type allows, occurs nowhere else in the
// record.
func fill(v reflect.Value, n int) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 22, 8, 9, 3, 130508000+n, time.FixedZone("", 3600)).UTC()))
		return
	case json.RawMessage:
		v.SetBytes(fmt.Appendf(nil, `{"n":%d}`, n))
		return
	case proto.Severity:
		v.Set(reflect.ValueOf(proto.SeverityHigh))
		return
	case proto.Phase:
		v.Set(reflect.ValueOf(proto.PhaseEnd))
		return
	case proto.Decision:
		v.Set(reflect.ValueOf(proto.DecisionBlocked))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(-n))
	case reflect.Float64:
		v.SetFloat(float64(n) + 0.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), 1000+n)
		fill(v.Index(1), 2000+n)
	default:
		panic(fmt.Sprintf("filling a field of type %s", v.Type()))
	}
}

func TestAppendJSONOfTwoTechniques(t *testing.T) {
	t.Parallel()
	compareJSON(t, "two techniques", &proto.Event{MITRE: []proto.Technique{{ID: "T1552.005"}, {TacticID: "TA0006"}}})
}

func TestAppendJSONKeepsDst(t *testing.T) {
	t.Parallel()
	const before = "[{"
	got := string((&proto.Event{ID: "a"}).AppendJSON([]byte(before)))
	if !strings.HasPrefix(got, before+`{"id":"a",`) {
		t.Errorf("AppendJSON behind %q = %s", before, got)
	}
}

func TestAppendJSONTime(t *testing.T) {
	t.Parallel()
	e := proto.Event{Time: time.Date(2026, 11, 22, 8, 9, 3, 130508000, time.FixedZone("", 3600))}
	if got, want := string(e.AppendJSON(nil)), `"time":"2026-11-22T07:09:03.130508Z"`; !strings.Contains(got, want) {
		t.Errorf("AppendJSON = %s, want %s in it", got, want)
	}
}

// TestRawByteForByte: what a sensor wrote is evidence. It comes last, and reading
// the event with encoding/json gives it back unchanged.
func TestRawByteForByte(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, raw string }{
		{"inner whitespace", `{ "a" :	[ 1,  2 ] }`},
		{"integers past 2^53", `{"flow_id":18446744073709551615,"timestamp":1795331725541326338}`},
		{"number forms", `{"a":1.0,"b":1e3,"c":-0}`},
		{"duplicate keys", `{"a":1,"a":2}`},
		{"escapes", `{"a":"\u003c\/\ud83d\ude00"}`},
		{"characters of HTML", `{"a":"<&>"}`},
		{"line separator and C1", "{\"a\":\"\u2028\u009b\"}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			full := filledEvent()
			full.Raw = json.RawMessage(tt.raw)
			for name, e := range map[string]*proto.Event{"full": full, "bare": {Raw: full.Raw}} {
				b := e.AppendJSON(nil)
				if want := `,"raw":` + tt.raw + "}"; !bytes.HasSuffix(b, []byte(want)) {
					t.Errorf("%s: AppendJSON = %s, want it to end in %s", name, b, want)
				}
				var back proto.Event
				if err := json.Unmarshal(b, &back); err != nil {
					t.Errorf("%s: json.Unmarshal: %v", name, err)
				}
				if string(back.Raw) != tt.raw {
					t.Errorf("%s: json.Unmarshal gives %s, want %s", name, back.Raw, tt.raw)
				}
			}
		})
	}
}

func TestAppendJSONEscapes(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"plain", "plain text <&>", `plain text <&>`},
		{"quote and backslash", `a"b\c`, `a\"b\\c`},
		{"named controls", "\n\r\t", `\n\r\t`},
		{"C0", "\x00\x1b[31m\x1f", `\u0000\u001b[31m\u001f`},
		{"DEL", "a\x7fb", `a\u007fb`},
		{"C1", "\u0080\u009b31m\u009f", `\u0080\u009b31m\u009f`},
		{"above C1", "\u00a0é日😀\u2028", "\u00a0é日😀\u2028"},
		{"invalid UTF-8", "a\xffb\xe2\x82", "a\ufffdb\ufffd\ufffd"},
		{"replacement character", "\ufffd", "\ufffd"},
		{"UTF-8 of a surrogate", "\xed\xa0\x80", "\ufffd\ufffd\ufffd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := proto.Event{Title: tt.in, Tags: []string{tt.in}}
			got := string(e.AppendJSON(nil))
			if want := `"title":"` + tt.want + `","tags":["` + tt.want + `"]}`; !strings.HasSuffix(got, want) {
				t.Errorf("AppendJSON = %s, want it to end in %s", got, want)
			}
		})
	}
}

func TestAppendJSONAllocates(t *testing.T) {
	e := filledEvent()
	dst := e.AppendJSON(nil)
	if n := testing.AllocsPerRun(100, func() { dst = e.AppendJSON(dst[:0]) }); n != 0 {
		t.Errorf("AppendJSON into a grown buffer allocates %v times, want 0", n)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	e := filledEvent()
	e.Raw = json.RawMessage(`{"a":"` + strings.Repeat("x", 2000) + `"}`)
	dst := e.AppendJSON(nil)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendJSON(dst[:0])
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("id", "GET /", "a.example", "tag", int64(1795331671043240870), int64(443), int64(0))
	f.Add("", "", "", "", int64(0), int64(0), int64(-1))
	f.Add("\x00\x1b[2J", "\x7f\u009b", "\xff\xed\xa0\x80", "\"\\\u2028<&>", int64(253402300799999999), int64(-1), int64(1)<<62)
	f.Fuzz(func(t *testing.T, id, title, name, tag string, micros, port, size int64) {
		const year9999 = 253402300800 * 1_000_000
		want := proto.Event{
			ID: id, Time: time.UnixMicro(micros % year9999).UTC(), Severity: proto.SeverityLow, Title: title, Tags: []string{tag},
			DNS:  &proto.DNS{Names: []string{name, title}},
			Dst:  &proto.Endpoint{Port: int(port), Hostname: name},
			Gap:  &proto.Gap{From: size, Reason: tag},
			Rule: &proto.Rule{ID: name},
		}
		if want.Time.Year() < 0 {
			want.Time = time.Time{}
		}
		b := want.AppendJSON(nil)
		if !utf8.Valid(b) || bytes.ContainsFunc(b, unicode.IsControl) {
			t.Fatalf("not printable UTF-8: %q", b)
		}
		var got proto.Event
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("json.Unmarshal(%s): %v", b, err)
		}
		// A conversion through runes replaces what is not UTF-8 byte by byte.
		for _, s := range []*string{&want.ID, &want.Title, &want.Tags[0], &want.DNS.Names[0], &want.DNS.Names[1], &want.Dst.Hostname, &want.Gap.Reason, &want.Rule.ID} {
			*s = string([]rune(*s))
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v\nwant %+v\nfrom %s", got, want, b)
		}
	})
}
