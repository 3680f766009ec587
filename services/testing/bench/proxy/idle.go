package main

import (
	"context"
	"net"
	"strings"
	"sync"
)

// idleClients are the addresses that idle connections come from: none of them may take
// what the others need.
const idleClients = 10

// idle opens n connections to url, which send nothing, and returns what closes them.
// Many are closed by the other side.
func idle(ctx context.Context, url string, n int) (closeAll func(), err error) {
	var (
		mu     sync.Mutex
		conns  []net.Conn
		failed error
		group  sync.WaitGroup
	)
	closeAll = func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
	for client := range idleClients {
		group.Go(func() {
			dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+client))}, Timeout: patience}
			for range n / idleClients {
				conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
				mu.Lock()
				if err != nil {
					failed = err
				} else {
					conns = append(conns, conn)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	group.Wait()
	if failed != nil {
		closeAll()
	}
	return closeAll, failed
}

// crowd reports how much the proxy takes while many slow streams are open and idle
// connections are opened beside them, first before the streams and then during them. Each
// stream must end as if it were alone.
func (b *bench) crowd(ctx context.Context, s *system) error {
	if err := s.restart(ctx, "ours"); err != nil {
		return err
	}
	closeFirst, err := idle(ctx, s.urls["ours"], b.idle)
	if err != nil {
		return err
	}
	defer closeFirst()
	var group sync.WaitGroup
	var driven error
	group.Go(func() {
		_, driven = drive(ctx, s.urls["ours"], load{1 << 10, true, b.streams}, crowdTime, "#text 100x50ms")
	})
	closeFirst()
	closeSecond, err := idle(ctx, s.urls["ours"], b.idle)
	group.Wait()
	if err != nil {
		return err
	}
	defer closeSecond()
	if driven != nil {
		return driven
	}
	usage, err := s.processes["ours"].Usage()
	if err != nil {
		return err
	}
	result("rss_512_streams_10k_idle_mb", float64(usage.PeakRSS)/(1<<20), "MiB")
	result("descriptors_512_streams_10k_idle", float64(usage.FDs), "count")
	return nil
}
