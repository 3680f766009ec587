// Package httpserve serves HTTP under the server's own names until a context is
// done, and then lets open requests end.
package httpserve

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Serve serves l with server until ctx is done. Then it accepts nothing more,
// gives open requests grace to end, and closes the connections of those that
// have not; a grace of 0 closes them at once. Requests for another host than
// hosts are refused; nil means that the server's handler checks them. It returns
// an error only if serving itself fails.
func Serve(ctx context.Context, l net.Listener, server *http.Server, hosts *Hosts, grace time.Duration) error {
	if hosts != nil {
		server.Handler = hosts.Handler(server.Handler)
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(l)
	if stop() {
		return fmt.Errorf("serving %s: %w", l.Addr(), err)
	}
	<-stopped
	return nil
}
