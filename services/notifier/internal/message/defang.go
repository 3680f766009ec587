package message

import (
	"regexp"
	"strings"
	"unicode"
)

// The schemes of web addresses.
var (
	httpScheme  = regexp.MustCompile(`(?i)http:/`)
	httpsScheme = regexp.MustCompile(`(?i)https:/`)
)

// A number of at least numberDigits digits can be a telephone's or a bank
// card's; a run of fewer than numberPart is neither. A date with an hour has 10.
const (
	numberDigits = 11
	numberPart   = 7
)

// defang removes from s everything that chats such as Telegram make clickable by
// themselves: links, mail addresses, @names, #tags, $TAGS, /commands,
// telephone and card numbers. The character that makes it so is put into
// brackets, and http becomes hxxp, as is usual among those who share indicators
// of attacks.
//
// The rules are a little wider than those of the library that the Bot API server
// uses, https://github.com/tdlib/td (td/telegram/MessageEntity.cpp).
func defang(s string) string {
	if strings.Contains(s, ":/") {
		s = httpScheme.ReplaceAllString(s, "hxxp:/")
		s = httpsScheme.ReplaceAllString(s, "hxxps:/")
	}
	runes := []rune(s)
	number := longNumbers(runes)
	var b strings.Builder
	for i, r := range runes {
		if number[i] || clickable(runes, i) {
			b.WriteByte('[')
			b.WriteRune(r)
			b.WriteByte(']')
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// clickable reports whether the rune at i makes what is around it clickable.
func clickable(runes []rune, i int) bool {
	var before, after rune
	if i > 0 {
		before = runes[i-1]
	}
	if i+1 < len(runes) {
		after = runes[i+1]
	}
	switch runes[i] {
	case '.':
		return label(before) && (unicode.IsLetter(after) || digit(after) && quads(runes, i) >= 3)
	case '@':
		return word(after)
	case '#', '＃':
		return label(after)
	case '$':
		return after >= 'A' && after <= 'Z' || after == '1'
	case '+':
		return digit(after)
	case ':':
		return after == '/' && i+2 < len(runes) && runes[i+2] == '/' && !defanged(runes[:i])
	case '/':
		return !word(before) && before != '/' && commandAt(runes, i)
	}
	return false
}

// label reports whether r can be in a host name or a tag. Telegram treats nearly
// everything as such that is not ASCII.
func label(r rune) bool { return word(r) || r == '-' || r >= 0x80 }

func word(r rune) bool {
	return r == '_' || digit(r) || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

func digit(r rune) bool { return r >= '0' && r <= '9' }

// quads counts the dots from the one at i back through what they part, as long
// as that is made of digits.
func quads(runes []rune, i int) int {
	dots := 0
	for ; i > 0 && (runes[i] == '.' || digit(runes[i])); i-- {
		if runes[i] == '.' {
			dots++
		}
	}
	return dots
}

// defanged reports whether a scheme that runes end in has been changed already.
func defanged(runes []rune) bool {
	end := string(runes[max(0, len(runes)-5):])
	return strings.HasSuffix(end, "hxxp") || strings.HasSuffix(end, "hxxps")
}

// commandAt reports whether a slash begins a command and not a path of several
// parts.
func commandAt(runes []rune, i int) bool {
	end := i + 1
	for end < len(runes) && word(runes[end]) {
		end++
	}
	return end > i+1 && (end == len(runes) || runes[end] != '/')
}

// longNumbers marks the digits that break up long numbers.
func longNumbers(runes []rune) []bool {
	marked := make([]bool, len(runes))
	for start := 0; start < len(runes); start++ {
		if !digit(runes[start]) {
			continue
		}
		end, digits := start, 0
		for ; end < len(runes); end++ {
			if digit(runes[end]) {
				digits++
			} else if !strings.ContainsRune(" -()", runes[end]) {
				break
			}
		}
		if digits >= numberDigits {
			markEvery(runes[start:end], marked[start:end])
		}
		start = end
	}
	return marked
}

// markEvery marks each digit that would end a part of a number that is too long.
func markEvery(runes []rune, marked []bool) {
	run := 0
	for i, r := range runes {
		switch {
		case !digit(r):
		case run == numberPart-1:
			marked[i], run = true, 0
		default:
			run++
		}
	}
}
