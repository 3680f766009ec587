package bus

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// readyRetry is how long a request waits for its next attempt while the servers
// are not ready for it.
const readyRetry = 500 * time.Millisecond

// noPeers is the code of a server of a cluster that does not know of enough
// others yet (nats-server: JSClusterNoPeersErrF, status 400).
const noPeers = 10005

// whenReady calls do, and again until the servers are ready for what it asks or
// the time is until. A server of a cluster takes connections before it has found
// the others and all have agreed on who leads.
func whenReady(ctx context.Context, until time.Time, do func(context.Context) error) error {
	for {
		err := do(ctx)
		if !unready(err) || !time.Now().Before(until) || pause(ctx, readyRetry) != nil {
			return err
		}
	}
}

// unready reports whether err is what servers say that have just started.
func unready(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code == http.StatusServiceUnavailable || api.ErrorCode == noPeers
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotConnected) || errors.Is(err, nats.ErrNoResponders)
}
