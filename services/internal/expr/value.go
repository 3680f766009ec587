package expr

import (
	"cmp"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// Text is a value as text: a list's elements are joined by commas; null and
// objects are empty.
func Text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case []any:
		texts := make([]string, 0, len(v))
		for _, element := range v {
			if s := Text(element); s != "" {
				texts = append(texts, s)
			}
		}
		return strings.Join(texts, ", ")
	}
	return ""
}

func equal(a, b any) bool {
	x, isNumber := numberOf(a)
	y, alsoNumber := numberOf(b)
	if isNumber && alsoNumber {
		return x.compare(y) == 0
	}
	return reflect.DeepEqual(a, b)
}

// compare orders two numbers or two texts.
func compare(a, b any) (order int, comparable bool) {
	if x, ok := numberOf(a); ok {
		y, ok := numberOf(b)
		return x.compare(y), ok
	}
	x, isText := a.(string)
	y, alsoText := b.(string)
	return cmp.Compare(x, y), isText && alsoText
}

// number is an integer of up to 64 bits and a sign, or a float64.
type number struct {
	integer   bool
	negative  bool
	magnitude uint64
	float     float64 // its value, rounded if it is an integer
}

func numberOf(v any) (number, bool) {
	text := ""
	switch v := v.(type) {
	case int64:
		text = strconv.FormatInt(v, 10)
	case json.Number:
		text = string(v)
	default:
		return number{}, false
	}
	// A number out of float64's range is infinite, which compares as it should.
	f, _ := strconv.ParseFloat(text, 64)
	digits, negative := strings.CutPrefix(text, "-")
	magnitude, err := strconv.ParseUint(digits, 10, 64)
	return number{integer: err == nil, negative: negative && magnitude != 0, magnitude: magnitude, float: f}, true
}

func (n number) compare(m number) int {
	switch {
	case !n.integer || !m.integer:
		return cmp.Compare(n.float, m.float)
	case n.negative != m.negative:
		if n.negative {
			return -1
		}
		return 1
	case n.negative:
		return cmp.Compare(m.magnitude, n.magnitude)
	}
	return cmp.Compare(n.magnitude, m.magnitude)
}

// kind names a value's type for an error message.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case string:
		return "a text"
	case json.Number, int64:
		return "a number"
	case []any:
		return "a list"
	}
	return "an object"
}
