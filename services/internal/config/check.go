package config

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// OneOf returns a [Fault] for key unless value is one of allowed.
func OneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return Faultf(key, "%.100q is not one of %s", value, strings.Join(allowed, ", "))
}

// Between returns a [Fault] for key unless least <= value <= most.
func Between[T cmp.Ordered](key string, value, least, most T) error {
	// Written so that NaN, which compares false with everything, is a fault.
	if value >= least && value <= most {
		return nil
	}
	return Faultf(key, "%v is not between %v and %v", value, least, most)
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
