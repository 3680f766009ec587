package forward

import (
	"net/http"
	"net/url"
)

// Transport is u's transport, so that tests can have it dial elsewhere.
func (u *Upstream) Transport() *http.Transport { return u.transport }

// TargetOf is what goes upstream of a route's path and query, for a base
// without a path.
func TargetOf(route Route) string {
	u := Upstream{base: &url.URL{Scheme: "http", Host: "provider.test"}}
	return u.target(route).RequestURI()
}

// Target is where u sends a request on route.
func (u *Upstream) Target(route Route) string { return u.target(route).String() }

// Authenticate puts u's key into a header.
func (u *Upstream) Authenticate(h http.Header) { u.authenticate(h) }

// Parameters are the query parameters that any route takes.
func Parameters() []string { return allParameters() }
