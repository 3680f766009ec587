package trail

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxWord is how many runes of a name stand in a title.
const maxWord = 64

func firstSeenTitle(client string, tools []string, count int) string {
	const shown = 3
	var words []string
	for _, tool := range tools[:min(len(tools), shown)] {
		words = append(words, word(tool))
	}
	list := strings.Join(words, ", ")
	if count > shown {
		list += fmt.Sprintf(" and %d more", count-shown)
	}
	return fmt.Sprintf("First call by %s of %s", word(cmp.Or(client, "an unnamed client")), list)
}

func burstTitle(tokens, median int64) string {
	return fmt.Sprintf("%d tokens in an hour, where %d are usual", tokens, median)
}

func word(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if utf8.RuneCountInString(s) <= maxWord {
		return s
	}
	return string([]rune(s)[:maxWord]) + "…"
}
