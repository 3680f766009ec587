package telegramtest

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
)

// finders find what Telegram makes clickable in a text without being asked. The
// rules are those that its documentation and its clients show, made wider: any
// letters can be a top-level domain.
var finders = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\b(?:https?|ftp|tg|ton|tonsite)://\S+`),
	regexp.MustCompile(`[\pL\pN_-]\.\pL[\pL\pN-]+`),                                // a host name, a mail address
	regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}\b`),                              // an address
	regexp.MustCompile(`(?:^|[^\pL\pN_])@[A-Za-z0-9_]{2,32}\b`),                    // a name
	regexp.MustCompile(`(?:^|[^\pL\pN_])[#＃][\pN_]*\pL[\pL\pN_]*`),                 // a tag
	regexp.MustCompile(`(?:^|[^\pL\pN_$])\$(?:[A-Z]{1,8}|1INCH)\b`),                // a share's tag
	regexp.MustCompile(`(?:^|[^\w/<>])/[A-Za-z0-9_]{1,64}(?:@\w+)?(?:$|[^\w/<>])`), // a command
	regexp.MustCompile(`\+\d[\d ().-]{5,}\d`),                                      // a telephone number
}

// card finds what can be the number of a bank card.
var card = regexp.MustCompile(`\b\d(?:[ -]?\d){12,18}\b`)

// links returns the clickable parts of a text, outside of code.
func links(text string, entities []Entity) []string {
	units := utf16.Encode([]rune(text))
	for _, e := range entities {
		if sorts[e.Type] != mono {
			continue
		}
		for i := e.Offset; i < e.Offset+e.Length; i++ {
			units[i] = '\n'
		}
	}
	plain := string(utf16.Decode(units))
	var found []string
	for _, f := range finders {
		for _, match := range f.FindAllString(plain, -1) {
			found = append(found, strings.TrimFunc(match, unicode.IsSpace))
		}
	}
	for _, match := range card.FindAllString(plain, -1) {
		if luhn(match) {
			found = append(found, match)
		}
	}
	return found
}

// luhn reports whether the last digit is the check digit of the others
// (ISO/IEC 7812-1).
func luhn(number string) bool {
	sum, double := 0, false
	for i := len(number) - 1; i >= 0; i-- {
		if number[i] < '0' || number[i] > '9' {
			continue
		}
		d := int(number[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum, double = sum+d, !double
	}
	return sum%10 == 0
}
