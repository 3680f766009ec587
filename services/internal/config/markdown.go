package config

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// A Group is a section of the settings' documentation.
type Group struct {
	Title string
	// Intro is Markdown put between the title and the table; it may be empty.
	Intro string
	Keys  []Key
}

// Markdown writes groups as sections of a GitHub-flavoured Markdown document,
// each a second-level heading and a table of its settings.
func Markdown(w io.Writer, groups []Group) error {
	out := bufio.NewWriter(w)
	for i, group := range groups {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "## %s\n\n", group.Title)
		if group.Intro != "" {
			fmt.Fprintf(out, "%s\n\n", strings.TrimSpace(group.Intro))
		}
		fmt.Fprintln(out, "| Key | Type | Default | Meaning |")
		fmt.Fprintln(out, "|---|---|---|---|")
		for _, key := range group.Keys {
			names := "`" + strings.Join(key.Names(), "` or `") + "`"
			fmt.Fprintf(out, "| %s | %s | %s | %s |\n", names, key.Type, defaultCell(key), cell(key.Doc))
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing settings as Markdown: %w", err)
	}
	return nil
}

func defaultCell(key Key) string {
	switch {
	case key.Required:
		return "required"
	case key.Default == "":
		return ""
	default:
		return "`" + cell(key.Default) + "`"
	}
}

// cell makes text fit one table cell. GitHub-flavoured Markdown splits cells at
// | even within code, unless it is escaped.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
