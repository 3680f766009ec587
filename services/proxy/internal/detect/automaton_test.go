package detect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// FuzzAutomaton compares with looking for each keyword by itself.
func FuzzAutomaton(f *testing.F) {
	f.Add("he she his hers", "ushers said His\tshe")
	f.Add("a aa aaa", "aaaaAAa")
	f.Add("abcd bc c", "abcabcd")
	f.Add("\xff\xfe é", "x\xff\xfe é")
	f.Fuzz(func(t *testing.T, words, text string) {
		var keywords []keyword
		for i, w := range strings.Fields(words) {
			keywords = append(keywords, keyword{w, i})
		}
		folded := []byte(text)
		for i, c := range folded {
			folded[i] = fold(c)
		}
		var want, got []string
		for _, k := range keywords {
			word := []byte(k.text)
			for i, c := range word {
				word[i] = fold(c)
			}
			for end := len(word); end <= len(folded); end++ {
				if string(folded[end-len(word):end]) == string(word) {
					want = append(want, fmt.Sprint(k.id, end))
				}
			}
		}
		newAutomaton(keywords).scan([]byte(text), func(id, end int) { got = append(got, fmt.Sprint(id, end)) })
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q in %q: got %v, want %v", words, text, got, want)
		}
	})
}
