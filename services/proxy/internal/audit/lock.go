package audit

import "errors"

// ErrInUse reports that another process has the directory open.
var ErrInUse = errors.New("in use by another process")
