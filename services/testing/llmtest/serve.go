package llmtest

import (
	"context"
	"net"

	"github.com/openclaw-security/bus/services/testing/standin"
)

// Serve serves l until ctx is done, then breaks off what is still being
// answered, closes l and returns nil. It returns an error if serving fails.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return standin.Serve(ctx, l, s, nil)
}

// Start serves on a free port of the loopback interface until the test ends and
// returns the URL, http://127.0.0.1:port without a slash at the end.
func (s *Server) Start(t standin.T) string { return standin.Start(t, s.Serve) }
