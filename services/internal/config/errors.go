package config

import (
	"fmt"
	"strings"
)

// A Fault is one setting that is wrong.
type Fault struct {
	// Key is the environment variable to change, or empty for a fault that
	// belongs to no single one.
	Key string
	// Err says what is wrong with it and what is expected.
	Err error
}

// Faultf returns a [Fault] for key. Validate methods return it, several of them
// joined by [errors.Join]. The message follows the key and a colon:
// Faultf("PROXY_ADDR", "%q has no port", addr).
func Faultf(key, format string, args ...any) error {
	return &Fault{Key: key, Err: fmt.Errorf(format, args...)}
}

// Error implements error.
func (f *Fault) Error() string {
	if f.Key == "" {
		return f.Err.Error()
	}
	return f.Key + ": " + f.Err.Error()
}

// Unwrap returns what is wrong, without the key.
func (f *Fault) Unwrap() error { return f.Err }

// Errors is every fault found in a configuration, in the order in which the
// settings are declared. It never holds the value of a [Secret].
type Errors struct {
	Faults []*Fault
}

// Error lists the faults, one a line under a line that counts them.
func (e *Errors) Error() string {
	var b strings.Builder
	if len(e.Faults) == 1 {
		b.WriteString("1 setting is wrong:")
	} else {
		fmt.Fprintf(&b, "%d settings are wrong:", len(e.Faults))
	}
	for _, f := range e.Faults {
		b.WriteString("\n  " + strings.ReplaceAll(f.Error(), "\n", "\n    "))
	}
	return b.String()
}

// Unwrap gives [errors.Is] and [errors.As] access to each fault.
func (e *Errors) Unwrap() []error {
	errs := make([]error, len(e.Faults))
	for i, f := range e.Faults {
		errs[i] = f
	}
	return errs
}

// add appends err, and each error joined in it, unless its key already has a
// fault. The first fault of a setting explains the later ones: a value that
// could not be read leaves the field zero, and Validate then complains of that.
func (e *Errors) add(err error) {
	fault, ok := err.(*Fault)
	if !ok {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range joined.Unwrap() {
				e.add(one)
			}
			return
		}
		fault = &Fault{Err: err}
	}
	for _, known := range e.Faults {
		if known.Key == fault.Key && (fault.Key != "" || known.Error() == fault.Error()) {
			return
		}
	}
	e.Faults = append(e.Faults, fault)
}
