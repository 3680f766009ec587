//go:build !linux && !darwin

package diskspace

// Of returns [ErrUnsupported].
func Of(string) (Space, error) { return Space{}, ErrUnsupported }
