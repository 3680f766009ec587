//go:build !linux && !darwin

package doctor

func statfs(string) (space, error) { return space{}, errNoStatfs }
