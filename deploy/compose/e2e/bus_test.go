package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// pageSize is how many messages are asked for at once.
const pageSize = 500

// seed is the seed of a role's key, out of the volume of who holds it.
func (r *rig) seed(holder, role string) nkeys.KeyPair {
	r.t.Helper()
	s := r.secbus("keys", "show", role)
	s.binds = []string{r.volume("keys-"+holder, "/keys:ro")}
	key, err := nkeys.FromSeed([]byte(strings.TrimSpace(r.must(s))))
	if err != nil {
		r.t.Fatalf("reading the seed of %s: %v", role, err)
	}
	return key
}

// dial connects this process to the bus as role. The connection survives the
// server's restarts.
func (r *rig) dial(role string, key nkeys.KeyPair, options ...nats.Option) (*nats.Conn, error) {
	var urls []string
	for _, name := range r.servers() {
		urls = append(urls, "nats://"+r.units[name].addr)
	}
	options = append([]nats.Option{
		nats.Name("e2e"),
		nats.CustomInboxPrefix("_INBOX_" + role),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(200 * time.Millisecond),
		// What the servers of a cluster tell of each other are addresses within
		// their network.
		nats.IgnoreDiscoveredServers(),
	}, options...)
	if key != nil {
		public, err := key.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("reading the public key of %s: %w", role, err)
		}
		options = append(options, nats.Nkey(public, key.Sign))
	}
	return nats.Connect(strings.Join(urls, ","), options...)
}

// connect is dial for what has to succeed.
func (r *rig) connect(role string) *nats.Conn {
	r.t.Helper()
	nc, err := r.dial(role, r.seed("operator", role))
	if err != nil {
		r.t.Fatalf("connecting as %s: %v", role, err)
	}
	r.t.Cleanup(nc.Close)
	return nc
}

// stored is a message as a stream holds it.
type stored struct {
	sequence uint64
	subject  string
	header   nats.Header
	data     []byte
}

// readStream returns what a stream holds from a sequence on, by direct get.
func readStream(ctx context.Context, nc *nats.Conn, stream string, from uint64) ([]stored, error) {
	var all []stored
	for {
		page, err := readPage(ctx, nc, stream, from)
		if err != nil {
			return nil, fmt.Errorf("reading %s from %d: %w", stream, from, err)
		}
		if len(page) == 0 {
			return all, nil
		}
		all = append(all, page...)
		from = page[len(page)-1].sequence + 1
	}
}

func readPage(ctx context.Context, nc *nats.Conn, stream string, from uint64) ([]stored, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	question, err := json.Marshal(map[string]any{"seq": from, "next_by_subj": ">", "batch": pageSize, "max_bytes": 4 << 20})
	if err != nil {
		return nil, err
	}
	answers := make(chan *nats.Msg, pageSize+1)
	inbox := nc.NewInbox()
	sub, err := nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // only fails on a closed connection
	if err := nc.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, question); err != nil {
		return nil, err
	}
	var page []stored
	for {
		select {
		case m := <-answers:
			if status := m.Header.Get("Status"); status == "204" || status == "404" {
				return page, nil // the end of the page, or of the stream
			} else if status != "" {
				return nil, fmt.Errorf("the server answers %s %s", status, m.Header.Get("Description"))
			}
			sequence, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("reading a sequence: %w", err)
			}
			page = append(page, stored{sequence, m.Header.Get("Nats-Subject"), m.Header, m.Data})
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
