package natsd

import "errors"

// ErrInUse reports that another server uses the directory.
var ErrInUse = errors.New("in use by another server")
