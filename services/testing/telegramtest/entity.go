package telegramtest

import (
	"fmt"
	"unicode/utf16"
)

// Entity is a part of a text that looks different. Offset and Length count
// UTF-16 code units. https://core.telegram.org/bots/api#messageentity
type Entity struct {
	Type   string `json:"type"`
	Offset int    `json:"offset"`
	Length int    `json:"length"`
}

// maxEntities is how many entities Telegram honours.
const maxEntities = 100

// sorts says of the types that this server takes what may be inside what.
var sorts = map[string]sort{
	"bold": style, "italic": style, "underline": style, "strikethrough": style, "spoiler": style,
	"blockquote": block, "expandable_blockquote": block,
	"code": mono, "pre": mono,
}

type sort int

const (
	style sort = iota // within and around anything but mono
	block             // not within another
	mono              // alone
)

// checkEntities refuses entities that Telegram refuses, and those that it would
// change.
func checkEntities(text string, entities []Entity) error {
	if len(entities) > maxEntities {
		return fmt.Errorf("%d entities are more than %d", len(entities), maxEntities)
	}
	units := utf16.Encode([]rune(text))
	for i, e := range entities {
		if _, ok := sorts[e.Type]; !ok {
			return fmt.Errorf("unsupported entity type %q", e.Type)
		}
		if err := checkBounds(units, e); err != nil {
			return err
		}
		for _, other := range entities[:i] {
			if err := checkPair(e, other); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkBounds(units []uint16, e Entity) error {
	switch {
	case e.Offset < 0:
		return fmt.Errorf("receive an entity with incorrect offset %d", e.Offset)
	case e.Length <= 0:
		return fmt.Errorf("receive an entity with incorrect length %d", e.Length)
	case e.Offset >= len(units):
		return fmt.Errorf("entity begins after the end of the text at UTF-16 offset %d", e.Offset)
	case e.Length > len(units)-e.Offset:
		return fmt.Errorf("entity beginning at UTF-16 offset %d ends after the end of the text at UTF-16 offset %d", e.Offset, e.Offset+e.Length)
	case splits(units, e.Offset):
		return fmt.Errorf("entity begins in a middle of a UTF-16 symbol at UTF-16 offset %d", e.Offset)
	case splits(units, e.Offset+e.Length):
		return fmt.Errorf("entity ends in a middle of a UTF-16 symbol at UTF-16 offset %d", e.Offset+e.Length)
	}
	return nil
}

// splits reports whether at is between the halves of a surrogate pair.
func splits(units []uint16, at int) bool {
	return at > 0 && at < len(units) && utf16.IsSurrogate(rune(units[at])) &&
		utf16.DecodeRune(rune(units[at-1]), rune(units[at])) != '\uFFFD'
}

func checkPair(a, b Entity) error {
	aEnd, bEnd := a.Offset+a.Length, b.Offset+b.Length
	if aEnd <= b.Offset || bEnd <= a.Offset {
		return nil
	}
	within := a.Offset >= b.Offset && aEnd <= bEnd || b.Offset >= a.Offset && bEnd <= aEnd
	switch {
	case !within:
		return fmt.Errorf("entities %s and %s overlap at UTF-16 offset %d", a.Type, b.Type, max(a.Offset, b.Offset))
	case sorts[a.Type] == mono || sorts[b.Type] == mono,
		sorts[a.Type] == block && sorts[b.Type] == block,
		a.Type == b.Type:
		return fmt.Errorf("entities %s and %s cannot be nested, at UTF-16 offset %d", a.Type, b.Type, max(a.Offset, b.Offset))
	}
	return nil
}
