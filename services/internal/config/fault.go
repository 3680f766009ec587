package config

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
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

// Join returns the faults of several configurations as one [*Errors], nil if
// there are none.
func Join(errs ...error) error {
	var all Errors
	for _, err := range errs {
		if err != nil {
			all.add(err)
		}
	}
	if len(all.Faults) == 0 {
		return nil
	}
	return &all
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

// OneOf returns a [Fault] for key unless value is one of allowed.
func OneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return Faultf(key, "%.100q is not one of %s", value, strings.Join(allowed, ", "))
}

// Between returns a [Fault] for key unless lowest <= value <= highest.
func Between[T cmp.Ordered](key string, value, lowest, highest T) error {
	// Written so that NaN, which compares false with everything, is a fault.
	if value >= lowest && value <= highest {
		return nil
	}
	return Faultf(key, "%v is not between %v and %v", value, lowest, highest)
}

// URL returns a [Fault] for key unless value is an absolute URL with a host and
// one of the schemes. A user name or password in the URL is a fault too: URLs
// are logged, and there are [Secret] settings for credentials.
func URL(key, value string, schemes ...string) error {
	if err := noCredentials(key, value); err != nil {
		return err
	}
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) {
		return Faultf(key, "%.100q is not a URL that starts with %s://", value, strings.Join(schemes, ":// or "))
	}
	return nil
}

// noCredentials looks for any @ rather than parse value: a password with a
// reserved character in it parses as something else, which would be shown.
func noCredentials(key, value string) error {
	if strings.Contains(value, "@") {
		return Faultf(key, "has an @, as if a user name or password were in it; credentials do not belong in a URL")
	}
	return nil
}
