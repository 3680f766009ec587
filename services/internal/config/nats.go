package config

import (
	"errors"
	"strings"

	"github.com/nats-io/nkeys"
)

// NATS says how to reach the bus and as whom.
type NATS struct {
	URL      string `env:"NATS_URL, default=nats://127.0.0.1:4222" doc:"NATS servers to connect to, separated by commas; the scheme is nats, tls, ws or wss."`
	NKeySeed Secret `env:"NATS_NKEY_SEED" doc:"Seed of the NKey user to connect as (starts with SU); unset connects without credentials."`
}

// Validate implements the check that [Load] makes.
func (n NATS) Validate() error {
	return errors.Join(n.validateURL(), n.validateSeed())
}

func (n NATS) validateURL() error {
	// Of the whole list first: a password may have a comma in it.
	if err := noCredentials("NATS_URL", n.URL); err != nil {
		return err
	}
	for server := range strings.SplitSeq(n.URL, ",") {
		if err := URL("NATS_URL", strings.TrimSpace(server), "nats", "tls", "ws", "wss"); err != nil {
			return err
		}
	}
	return nil
}

func (n NATS) validateSeed() error {
	if n.NKeySeed.IsZero() {
		return nil
	}
	prefix, _, err := nkeys.DecodeSeed([]byte(n.NKeySeed.Reveal()))
	if err != nil || prefix != nkeys.PrefixByteUser {
		return Faultf("NATS_NKEY_SEED", "not the seed of an NKey user (58 characters that start with SU)")
	}
	return nil
}

// Key returns the NKey pair to connect with, nil if there is none.
func (n NATS) Key() (nkeys.KeyPair, error) {
	if n.NKeySeed.IsZero() {
		return nil, nil
	}
	key, err := nkeys.FromSeed([]byte(n.NKeySeed.Reveal()))
	if err != nil {
		return nil, Faultf("NATS_NKEY_SEED", "not usable: %w", err)
	}
	return key, nil
}
