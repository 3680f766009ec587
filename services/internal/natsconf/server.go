package natsconf

import (
	"errors"
	"fmt"
	"strings"

	"github.com/openclaw-security/bus/services/internal/bus"
)

// Bounds of a server of the bus, embedded or not. By default a server has none
// but that of the payload, and a client with the key of one role could take its
// memory, or all places for batches of all streams.
const (
	// MaxPayload is the largest message in bytes.
	MaxPayload = 2 << 20
	// MaxMemory is for streams in memory, of which the bus has none, in bytes.
	MaxMemory = 32 << 20
	// MaxControlLine is the longest protocol line in bytes: that of a subject.
	MaxControlLine = 4 << 10
	// MaxConnections are those of all roles, MaxRoleConnections those of one.
	MaxConnections     = 1024
	MaxRoleConnections = 64
	// MaxSubscriptions are those of one connection. Ours need fewer than ten.
	MaxSubscriptions = 256
	// MaxStreamBatches are the atomic batches that a stream stages at a time,
	// MaxBatches those of all streams.
	MaxStreamBatches = 50
	MaxBatches       = 200
)

// Ports of a server that runs on its own. Monitoring is for the health check
// beside it and for nobody else: it has no authentication and tells who is
// connected.
const (
	clientPort  = 4222
	clusterPort = 6222
	// MonitorAddr is where the server answers its own health check.
	MonitorAddr = "127.0.0.1:8222"
)

// Server is what a NATS server that runs on its own must know.
type Server struct {
	// Roles and PublicKeys are as for [Accounts].
	Roles      []bus.Role
	PublicKeys map[string]string
	// StoreDir is where it keeps the streams.
	StoreDir string
	// MaxStore bounds all streams together, in bytes.
	MaxStore int64
	// Cluster are the names of the servers of a cluster, this one included; empty
	// is a server that stands alone. Each takes its own name from the
	// environment variable NATS_SERVER_NAME, so that they share one file.
	Cluster []string
	// Password is what the servers of a cluster know each other by.
	Password string
	// Domain is the server's JetStream domain: by it a server to which this one
	// connects as a leaf node tells the streams here from its own. Empty is none.
	Domain string
	// Include is a further configuration file, for what is the deployment's own:
	// TLS, a leaf node's remote. Empty is none.
	Include string
}

// Config renders the configuration file. It holds public keys and, for a
// cluster, the password.
func (s Server) Config() (string, error) {
	accounts, err := Accounts(s.Roles, s.PublicKeys)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# Written by secbus keys init; changes are lost. Nobody may connect without a key.\n")
	name := `"openclaw-bus"`
	if len(s.Cluster) > 0 {
		name = "$NATS_SERVER_NAME"
	}
	fmt.Fprintf(&b, "server_name: %s\nlisten: \"0.0.0.0:%d\"\nhttp: %q\n", name, clientPort, MonitorAddr)
	fmt.Fprintf(&b, "max_payload: %d\nmax_control_line: %d\nmax_connections: %d\nmax_subscriptions: %d\n", MaxPayload, MaxControlLine, MaxConnections, MaxSubscriptions)
	// The server's default is to sync every two minutes: what it has acknowledged
	// would be lost with the machine.
	fmt.Fprintf(&b, "jetstream {\n  store_dir: %q\n  max_file_store: %d\n  max_memory_store: %d\n  sync_interval: always\n", s.StoreDir, s.MaxStore, MaxMemory)
	fmt.Fprintf(&b, "  limits { batch { max_inflight_per_stream: %d, max_inflight_total: %d } }\n", MaxStreamBatches, MaxBatches)
	if s.Domain != "" {
		fmt.Fprintf(&b, "  domain: %q\n", s.Domain)
	}
	b.WriteString("}\n")
	if len(s.Cluster) > 0 {
		if s.Password == "" {
			return "", errors.New("a cluster without a password would let in every client that reaches it")
		}
		fmt.Fprintf(&b, "cluster {\n  name: openclaw\n  listen: \"0.0.0.0:%d\"\n  authorization { user: route, password: %q }\n  routes: [\n", clusterPort, s.Password)
		for _, host := range s.Cluster {
			fmt.Fprintf(&b, "    \"nats://route:%s@%s:%d\"\n", s.Password, host, clusterPort)
		}
		b.WriteString("  ]\n}\n")
	}
	b.WriteString(accounts)
	if s.Include != "" {
		fmt.Fprintf(&b, "include %q\n", s.Include)
	}
	return b.String(), nil
}
