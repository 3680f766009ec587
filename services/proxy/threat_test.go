package proxy

import (
	"net/http"
	"testing"
)

// threat is something that went wrong in another proxy, or that an attacker
// tries. It is tried on the proxy, which has to withstand, and on a naive one,
// which must not: that shows that the test could fail.
type threat struct {
	name   string
	change func(*Config) // of the proxy's settings
	guard  verdicts      // nil for none

	// withstood says that the naive proxy does no worse, because net/http sees to
	// it, or because it has no part in it.
	withstood bool

	// prepare returns the provider, nil for the usual one, and the attack. The
	// attack returns the harm that it has done, empty for none.
	prepare func(*testing.T) (http.Handler, func(*rig) string)
}

func TestThreats(t *testing.T) {
	for _, threats := range [][]threat{accessThreats(), pathThreats(), credentialThreats(), bodyThreats(), guardThreats(), answerThreats(), connectionThreats()} {
		for _, th := range threats {
			t.Run(th.name, func(t *testing.T) {
				provider, attack := th.prepare(t)
				if harm := attack(th.rig(t, provider)); harm != "" {
					t.Errorf("harm done: %s", harm)
				}
				if th.withstood {
					return
				}
				provider, attack = th.prepare(t)
				if attack(th.naive(t, provider)) == "" {
					t.Error("the naive proxy withstands, so that this test shows nothing")
				}
			})
		}
	}
}

// rig is the proxy under attack.
func (th threat) rig(t *testing.T, provider http.Handler) *rig {
	return newSolo(t, provider, func(c *Config) {
		if th.guard != nil {
			use(c, startGuard(t, th.guard).url)
		}
		if th.change != nil {
			th.change(c)
		}
	})
}
