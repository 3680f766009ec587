// Package expr is the expression language of rules files and mapping files:
// JSONPath (github.com/PaesslerAG/jsonpath) with a few operators, compiled once
// and evaluated on a JSON document.
//
//	$.process.name  $.process.args[0]  $.raw["id.orig_h"]  $.raw.answers[*].rdata   JSONPath
//	"text"  `text without escapes`  443  -1  true  false  null  ["a", "b"]          constants
//	==  !=  <  <=  >  >=       numbers by value, texts by their bytes
//	=~  !~                     a text, or any text of a list, matches a regular expression (RE2)
//	in                         is in a list
//	inCIDR                     a text is an IP address in a network: $.dst.ip inCIDR "10.0.0.0/8"
//	+                          texts joined
//	a ?? b                     a, or b if a is null
//	a capture "x(.*)"          what the first group matches in the text a, or null
//	&&  ||  !  c ? a : b  ( )
//
// A path that leads nowhere is null rather than an error, so that one missing
// field cannot switch off the other half of an "||". Comparing what cannot be
// compared is false: null is unequal to everything but null, and neither smaller
// nor larger than anything. A condition that is null is false.
//
// Integers are compared exactly, over the whole range of 64 bits, signed or not:
// numbers stay the text that the document has. Other numbers are compared as
// float64. There is no arithmetic, and no recursive descent ("..").
package expr

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/PaesslerAG/gval"
)

// Expr is a compiled expression. It may be used concurrently.
type Expr struct {
	eval  gval.Evaluable
	paths []Path
}

// Compile compiles an expression. An error says what is wrong and, if text has
// several lines or is long, where.
func Compile(text string) (*Expr, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("is empty")
	}
	if descends(text) {
		return nil, errors.New("has a path with two dots, which can take forever: name the way, or write [*]")
	}
	eval, err := language.NewEvaluable(text)
	if err != nil {
		return nil, syntaxError(err)
	}
	return &Expr{eval: eval, paths: paths(text)}, nil
}

// syntaxError rewrites gval's error, which repeats the whole expression.
func syntaxError(err error) error {
	inner := errors.Unwrap(err)
	_, position, found := strings.Cut(err.Error(), "\t:")
	var line, column int
	if _, scanErr := fmt.Sscanf(position, "%d:%d", &line, &column); inner == nil || !found || scanErr != nil {
		return err
	}
	if line > 1 {
		return fmt.Errorf("%w at line %d, character %d of the expression", inner, line, column)
	}
	return fmt.Errorf("%w at character %d", inner, column)
}

// Paths returns where the expression's paths lead, in the order in which they
// stand in it.
func (x *Expr) Paths() []Path { return x.paths }

// Value evaluates the expression on a document of [Decode]. The value is nil, a
// bool, a string, a [json.Number], an int64, a []any or a map[string]any. An
// error means that an operator was given what it cannot work on.
func (x *Expr) Value(document map[string]any) (value any, err error) {
	// The interpreter is not ours and the document is an attacker's: a panic
	// must cost the expression its value, not the process its life.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the expression panics: %v", r)
		}
	}()
	return x.eval(context.Background(), document)
}

// Match evaluates the expression as a condition: null is false, and anything
// else but a bool is an error.
func (x *Expr) Match(document map[string]any) (bool, error) {
	v, err := x.Value(document)
	if err != nil {
		return false, err
	}
	return condition(v)
}
