package detect

import (
	"errors"
	"fmt"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
)

const (
	// MinValueBytes is the minimum length of a value that is watched. Shorter ones
	// appear by chance, encoded ones above all.
	MinValueBytes = 12
	// maxValueBytes and maxValues bound the automaton's table, and what is
	// carried over between the parts of an answer.
	maxValueBytes = 1024
	maxValues     = 64
)

// valueSignatures look for values in all their forms. A key that is too short is a
// placeholder, which compatible servers without authentication are given; a
// canary that is too short is a mistake.
func valueSignatures(c Config) ([]signature, error) {
	var signatures []signature
	var errs []error
	add := func(rule, what string, s config.Secret) {
		value := s.Reveal()
		if len(value) > maxValueBytes {
			errs = append(errs, fmt.Errorf("%s is longer than %d bytes", what, maxValueBytes))
			return
		}
		signatures = append(signatures, signature{rule: rule, severity: proto.SeverityCritical, detail: what + " with separators, backwards or by ROT13", value: value})
		for _, f := range forms(value) {
			detail := what
			if f.name != "" {
				detail += " " + f.name
			}
			signatures = append(signatures, signature{rule: rule, severity: proto.SeverityCritical, detail: detail, value: value, form: &f})
		}
	}
	if len(c.Keys)+len(c.Canaries) > maxValues {
		return nil, fmt.Errorf("more than %d keys and canaries", maxValues)
	}
	for _, key := range c.Keys {
		if len(key.Reveal()) >= MinValueBytes {
			add(KeyLeak, "the provider key", key)
		}
	}
	for i, canary := range c.Canaries {
		if len(canary.Reveal()) < MinValueBytes {
			errs = append(errs, fmt.Errorf("canary %d is shorter than %d bytes", i+1, MinValueBytes))
			continue
		}
		add(Canary, fmt.Sprintf("canary %d", i+1), canary)
	}
	return signatures, errors.Join(errs...)
}
