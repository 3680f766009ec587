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
