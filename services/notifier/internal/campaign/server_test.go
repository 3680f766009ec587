package campaign

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strconv"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
)

// The host and the source of all alerts.
const (
	host   = "box1"
	source = "suricata"
)

// serverTask tells a server process what to serve.
type serverTask struct {
	Keys, Store string // directories
	Listen      string // host:port
	Durables    []proto.Consumer
}

func loadIdentities(dir string, roles []bus.Role) (*natsconf.Identities, error) {
	var names []string
	for _, r := range roles {
		names = append(names, r.Name)
	}
	return natsconf.LoadOrCreate(dir, names)
}

// playServer is what a server process does, until its input ends.
func playServer(text string, stdin io.Reader) error {
	var task serverTask
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return fmt.Errorf("reading the task: %w", err)
	}
	roles := bus.Roles(host, []string{source}, task.Durables...)
	ids, err := loadIdentities(task.Keys, roles)
	if err != nil {
		return err
	}
	_, err = natsd.Start(natsd.Config{
		Dir:        task.Store,
		Listen:     task.Listen,
		Roles:      roles,
		PublicKeys: ids.PublicKeys(),
		Log:        slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, stdin)
	return err
}

// freeAddress returns an address of the loopback interface that is free now and
// likely to stay so while its server is away: its port is below those that
// systems give to outgoing connections.
func freeAddress() (string, error) {
	var err error
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(10_000)))
		var l net.Listener
		if l, err = net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", err
}
