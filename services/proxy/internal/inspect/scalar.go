package inspect

import (
	"bytes"
	"strconv"
)

// peek skips white space and returns the byte that stands there, 0 at the end
// and after an error.
func (p *parser) peek() byte {
	for p.pos < len(p.body) {
		c := p.body[p.pos]
		if c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
		p.pos++
	}
	return 0
}

// scalar reads a number, true, false or null and returns its text.
func (p *parser) scalar() []byte {
	c := p.peek()
	start := p.pos
	if c == '-' || c >= '0' && c <= '9' {
		p.number()
		return p.body[start:p.pos]
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(p.body[start:], []byte(word)) {
			p.pos += len(word)
			return p.body[start:p.pos]
		}
	}
	p.fail(start, reasonSyntax)
	return nil
}

// number reads a number. One beyond the range of a float64 is refused: some
// parsers take it for infinity.
func (p *parser) number() {
	start := p.pos
	if p.at(p.pos) == '-' {
		p.pos++
	}
	if p.at(p.pos) == '0' {
		p.pos++
	} else {
		p.digits()
	}
	large := p.pos-start > 300
	if p.at(p.pos) == '.' {
		p.pos++
		p.digits()
	}
	if c := p.at(p.pos); c == 'e' || c == 'E' {
		large = true
		p.pos++
		if c := p.at(p.pos); c == '+' || c == '-' {
			p.pos++
		}
		p.digits()
	}
	if large && p.err == nil {
		if _, err := strconv.ParseFloat(string(p.body[start:p.pos]), 64); err != nil {
			p.fail(start, "a number is out of range")
		}
	}
}

// digits reads one digit or more.
func (p *parser) digits() {
	start := p.pos
	for c := p.at(p.pos); c >= '0' && c <= '9'; c = p.at(p.pos) {
		p.pos++
	}
	if p.pos == start {
		p.fail(p.pos, reasonSyntax)
	}
}

// at returns the byte at i, 0 past the end.
func (p *parser) at(i int) byte {
	if i < len(p.body) {
		return p.body[i]
	}
	return 0
}
