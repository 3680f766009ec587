package expr

import (
	"strconv"
	"strings"
	"text/scanner"
	"unicode"
)

// Path is where a JSONPath leads as far as it names its way: the names after the
// "$", with [Index] for a position in a list. It ends with [Anywhere] where the
// path goes on with a wildcard, a filter or the like.
type Path []string

// Steps of a [Path] that are not names. No name that stands in a path without
// quotes looks like them.
const (
	Index    = "[]"
	Anywhere = "*"
)

// paths finds the paths of an expression that compiles. The compiled form does
// not tell them.
func paths(text string) []Path {
	s := tokens(text)
	var found []Path
	for token := s.Scan(); token != scanner.EOF; {
		if token != '$' {
			token = s.Scan()
			continue
		}
		p := Path{}
		for token = s.Scan(); token == '.' || token == '['; {
			var step string
			step, token = nextStep(s, token)
			p = append(p, step)
			if step == Anywhere {
				break
			}
		}
		found = append(found, p)
	}
	return found
}

// descends says whether an expression uses JSONPath's "..". Nested, it takes time
// exponential in the nesting.
func descends(text string) bool {
	s := tokens(text)
	for before, token := rune(0), s.Scan(); token != scanner.EOF; before, token = token, s.Scan() {
		if before == '.' && token == '.' {
			return true
		}
	}
	return false
}

// tokens splits an expression as gval does.
func tokens(text string) *scanner.Scanner {
	var s scanner.Scanner
	s.Init(strings.NewReader(text))
	s.Error = func(*scanner.Scanner, string) {}
	s.IsIdentRune = func(r rune, at int) bool {
		return r == '_' || unicode.IsLetter(r) || at > 0 && unicode.IsDigit(r)
	}
	return &s
}

// nextStep reads the step behind the "." or "[" that opens it, and the token
// after it.
func nextStep(s *scanner.Scanner, open rune) (string, rune) {
	token := s.Scan()
	step := Anywhere
	switch {
	case open == '.' && token == scanner.Ident:
		return s.TokenText(), s.Scan()
	case open == '[' && token == scanner.Int:
		step = Index
	case open == '[' && (token == scanner.String || token == scanner.RawString):
		if name, err := strconv.Unquote(s.TokenText()); err == nil {
			step = name
		}
	}
	if step == Anywhere {
		return step, token
	}
	if token = s.Scan(); token != ']' { // several names, a range, …
		return Anywhere, token
	}
	return step, s.Scan()
}
