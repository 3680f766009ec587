package message

import (
	"strings"
	"testing"
	"unicode/utf16"
)

// telegram counts as Telegram does.
var telegram = Format{Units: utf16.RuneLen, Limit: 4000, Short: 2500}

func TestLine(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"plain", "nothing special: 3 of 4", "nothing special: 3 of 4"},
		{"line breaks", "a\nb\r\n\u2028c", "a b c"},
		{"bidi", "safe\u202egnp.exe", "safegnp[.]exe"},
		{"fillers", "a\u3164\u2800b", "a b"},
		{"marks", "e\u0301\u0301\u0301\u0301\u0301\u0301", "e\u0301\u0301\u0301\u0301"},
		{"hidden link", "ht\u200btp://evil\u2060.example", "hxxp://evil[.]example"},
		{"hidden secret", "password\u200b=hun\u2060ter2", "password=[redacted]"},
		{"url", "HTTPS://Evil.Example/a.b", "hxxps://Evil[.]Example/a[.]b"},
		{"other scheme", "ftp://files.example", "ftp[:]//files[.]example"},
		{"address", "10.1.2.3:80", "10.1.2[.]3:80"},
		{"version", "v1.2.3, 8.0", "v1.2.3, 8.0"},
		{"technique", "T1552.005", "T1552.005"},
		{"hidden file", "~/.ssh/id_rsa", "~/.ssh/id_rsa"},
		{"mail", "me@there.example", "me[@]there[.]example"},
		{"name", "@somebody", "[@]somebody"},
		{"tag", "#tag ＃tag", "[#]tag [＃]tag"},
		{"variable", "$HOME/$path", "[$]HOME/$path"},
		{"command", "/start", "[/]start"},
		{"what has been defanged", "hxxp://a[.]b [@]c [/]d ftp[:]//e 121255[5]0123", "hxxp://a[.]b [@]c [/]d ftp[:]//e 121255[5]0123"},
		{"path", "/etc/passwd", "/etc/passwd"},
		{"telephone", "+12125550123", "[+]121255[5]0123"},
		{"card", "4111 1111 1111 1111", "4111 11[1]1 1111 1[1]11"},
		{"rule id", "9900001", "9900001"},
	} {
		if got := telegram.Line(test.in, 500); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestSecretThatABoundCuts(t *testing.T) {
	const secret = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
	for shift := range len(secret) + 2 {
		// What is redacted before it moves the secret back into sight.
		long := strings.Repeat("k", maxForeign-len("password= ")-shift)
		if got := telegram.Line("password="+long+" "+secret, 300); strings.Contains(got, "ghp") {
			t.Errorf("shift %d: %q", shift, got)
		}
		if got := telegram.Line("password="+long+"\" \""+secret, 300); strings.Contains(got, "ghp") {
			t.Errorf("shift %d, quoted: %q", shift, got)
		}
	}
}

func TestCutPathIsNoCommand(t *testing.T) {
	if got, want := telegram.Line("/tmp/a/long/path", 5), "[/]t…"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		name, in string
		limit    int
		want     string
	}{
		{"fits", "abc", 3, "abc"},
		{"does not", "abcd", 3, "ab…"},
		{"a pair has two", "a😀b", 3, "a…"},
		{"a pair fits", "a😀bc", 4, "a😀…"},
		{"marks stay", "aabe\u0301x", 5, "aab…"},
		{"skin tones stay", "ab👍🏽c", 6, "ab…"},
		{"flags stay", "a🇩🇪🇫🇷", 8, "a🇩🇪…"},
		{"no space before the ellipsis", "ab cd", 4, "ab…"},
		{"nothing", "abc", 1, "…"},
	} {
		if got := telegram.Cut(test.in, test.limit); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestLines(t *testing.T) {
	if got, want := telegram.lines("a.b\n\n"+strings.Repeat("c", 20)+"\nd", 12), "a[.]b\n\ncccc…"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
