package expr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"text/scanner"

	"github.com/PaesslerAG/gval"
	"github.com/PaesslerAG/jsonpath"
)

// language is what an expression is written in. What gval brings along is
// replaced where it would turn numbers into float64, convert between types, or
// read bare names as fields.
var language = gval.NewLanguage(syntax, gval.PrefixExtension('$', path))

// inPath is the language inside of a path, such as in a filter's condition.
var inPath = gval.NewLanguage(jsonpath.Language(), syntax, gval.Init(
	func(ctx context.Context, p *gval.Parser) (gval.Evaluable, error) {
		p.Camouflage("path") // the "$" that has brought us here
		return p.ParseNextExpression(ctx)
	},
))

// path parses a JSONPath and makes it null where it leads nowhere.
func path(ctx context.Context, p *gval.Parser) (gval.Evaluable, error) {
	eval, err := p.ParseSublanguage(ctx, inPath)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, document any) (any, error) {
		v, err := eval(ctx, document)
		if err != nil {
			return nil, nil
		}
		return v, nil
	}, nil
}

var syntax = gval.NewLanguage(
	gval.Base(),
	gval.JSON(),
	gval.TernaryOperator(),
	gval.Constant("null", nil),
	gval.PrefixMetaPrefix(scanner.Ident, name),
	gval.PrefixExtension(scanner.Int, integer),
	gval.PrefixExtension(scanner.Float, float),
	gval.PrefixOperator("-", negative),

	gval.PrefixOperator("!", func(_ context.Context, v any) (any, error) {
		c, err := condition(v)
		return !c, err
	}),
	gval.InfixShortCircuit("&&", func(a any) (any, bool) { return false, a == nil || a == false }),
	gval.InfixOperator("&&", second),
	gval.InfixShortCircuit("||", func(a any) (any, bool) { return true, a == true }),
	gval.InfixOperator("||", second),
	gval.InfixShortCircuit("??", func(a any) (any, bool) { return a, a != nil }),
	gval.InfixOperator("??", func(_, b any) (any, error) { return b, nil }),

	gval.InfixOperator("==", func(a, b any) (any, error) { return equal(a, b), nil }),
	gval.InfixOperator("!=", func(a, b any) (any, error) { return !equal(a, b), nil }),
	gval.InfixOperator("<", func(a, b any) (any, error) { c, ok := compare(a, b); return ok && c < 0, nil }),
	gval.InfixOperator("<=", func(a, b any) (any, error) { c, ok := compare(a, b); return ok && c <= 0, nil }),
	gval.InfixOperator(">", func(a, b any) (any, error) { c, ok := compare(a, b); return ok && c > 0, nil }),
	gval.InfixOperator(">=", func(a, b any) (any, error) { c, ok := compare(a, b); return ok && c >= 0, nil }),
	gval.InfixOperator("+", func(a, b any) (any, error) { return Text(a) + Text(b), nil }),
	gval.InfixOperator("in", member),
	gval.InfixEvalOperator("=~", func(a, b gval.Evaluable) (gval.Evaluable, error) { return matches(a, b, true) }),
	gval.InfixEvalOperator("!~", func(a, b gval.Evaluable) (gval.Evaluable, error) { return matches(a, b, false) }),
	gval.InfixEvalOperator("inCIDR", inCIDR),
	gval.Precedence("inCIDR", 40), // as "in" has it
	gval.InfixEvalOperator("capture", capture),
	gval.Precedence("capture", 100), // so that "a capture b ?? c" is what it looks like
)

// name refuses bare names, which gval takes for variables.
func name(_ context.Context, p *gval.Parser) (string, func() (gval.Evaluable, error), error) {
	word := p.TokenText()
	return word, func() (gval.Evaluable, error) {
		return nil, fmt.Errorf("unknown name %s (a field is written $.%s, a text in quotes)", word, word)
	}, nil
}

// integer is an int64 wherever it fits, because JSONPath takes no other number
// for an index.
func integer(_ context.Context, p *gval.Parser) (gval.Evaluable, error) {
	text := p.TokenText()
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return p.Const(n), nil
	}
	if strings.Trim(text, "0123456789") != "" {
		return nil, fmt.Errorf("%s is not a decimal number", text)
	}
	return p.Const(json.Number(text)), nil
}

func float(_ context.Context, p *gval.Parser) (gval.Evaluable, error) {
	text := p.TokenText()
	if _, err := strconv.ParseFloat(text, 64); err != nil || strings.ContainsAny(text, "xX_") {
		return nil, fmt.Errorf("%s is not a decimal number", text)
	}
	return p.Const(json.Number(text)), nil
}

func negative(_ context.Context, v any) (any, error) {
	switch n := v.(type) {
	case int64:
		return -n, nil
	case json.Number:
		if positive, ok := strings.CutPrefix(string(n), "-"); ok {
			return json.Number(positive), nil
		}
		return "-" + n, nil
	}
	return nil, fmt.Errorf("minus takes a number, not %s", kind(v))
}

// second finishes && and ||, whose first operand has not decided.
func second(a, b any) (any, error) {
	if _, err := condition(a); err != nil {
		return nil, err
	}
	return condition(b)
}

func condition(v any) (bool, error) {
	switch c := v.(type) {
	case nil:
		return false, nil
	case bool:
		return c, nil
	}
	return false, fmt.Errorf("a condition is needed, not %s", kind(v))
}

func member(v, list any) (any, error) {
	switch list := list.(type) {
	case nil:
		return false, nil
	case []any:
		for _, element := range list {
			if equal(v, element) {
				return true, nil
			}
		}
		return false, nil
	}
	return nil, fmt.Errorf("in takes a list, not %s", kind(list))
}

// matches compiles "a =~ b" (or !~). Only a constant pattern is allowed, so that
// it is compiled, and refused, only once.
func matches(a, b gval.Evaluable, want bool) (gval.Evaluable, error) {
	text, err := constantText(b, "a regular expression")
	if err != nil {
		return nil, err
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, document any) (any, error) {
		v, err := a(ctx, document)
		if err != nil {
			return nil, err
		}
		return anyText(v, pattern.MatchString) == want, nil
	}, nil
}

// anyText says whether v is a text that satisfies f, or a list that has one.
func anyText(v any, f func(string) bool) bool {
	switch v := v.(type) {
	case string:
		return f(v)
	case []any:
		for _, element := range v {
			if s, ok := element.(string); ok && f(s) {
				return true
			}
		}
	}
	return false
}

func inCIDR(a, b gval.Evaluable) (gval.Evaluable, error) {
	text, err := constantText(b, "a network")
	if err != nil {
		return nil, err
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not a network such as 10.0.0.0/8", text)
	}
	contains := func(s string) bool {
		address, err := netip.ParseAddr(s)
		return err == nil && network.Contains(address.Unmap())
	}
	return func(ctx context.Context, document any) (any, error) {
		v, err := a(ctx, document)
		if err != nil {
			return nil, err
		}
		return anyText(v, contains), nil
	}, nil
}

// capture compiles "a capture b": what the first group of the expression matches in
// a text, or null. As with =~ the pattern is constant.
func capture(a, b gval.Evaluable) (gval.Evaluable, error) {
	text, err := constantText(b, "a regular expression")
	if err != nil {
		return nil, err
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	if pattern.NumSubexp() == 0 {
		return nil, fmt.Errorf("the regular expression %.50q has no group to capture", text)
	}
	return func(ctx context.Context, document any) (any, error) {
		v, err := a(ctx, document)
		if err != nil {
			return nil, err
		}
		s, isText := v.(string)
		if at := pattern.FindStringSubmatchIndex(s); isText && at != nil && at[2] >= 0 {
			return s[at[2]:at[3]], nil
		}
		return nil, nil
	}, nil
}

func constantText(e gval.Evaluable, what string) (string, error) {
	if e.IsConst() {
		v, err := e(context.Background(), nil)
		if s, ok := v.(string); ok && err == nil {
			return s, nil
		}
	}
	return "", errors.New(what + " must be a text in quotes")
}
