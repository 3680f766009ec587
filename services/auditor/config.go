package auditor

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/price"
)

// Config says where the audit log is and how long it is kept.
type Config struct {
	NATS         config.NATS
	Prices       price.Settings
	Host         string        `env:"OPENCLAW_HOST" doc:"Name of this machine on the bus. Unset means the system's host name."`
	Dir          string        `env:"AUDIT_DIR, default=audit" doc:"Directory of the audit log and its index. secbus up keeps it in its data directory."`
	KeyFile      string        `env:"AUDIT_KEY_FILE" doc:"Ed25519 key, in PEM, that signs the log; made if it is not there. Unset means key.pem in AUDIT_DIR. With it, another log can be written."`
	SegmentBytes int64         `env:"AUDIT_SEGMENT_BYTES, default=67108864" doc:"Size at which a file of the log is closed, signed and compressed, in bytes, from 1048576 to 1073741824."`
	KeepFor      time.Duration `env:"AUDIT_KEEP, default=0s" doc:"How long closed files of the log are kept; 0 for ever. What is removed leaves a signed statement."`
	KeepBytes    int64         `env:"AUDIT_KEEP_BYTES, default=0" doc:"Max bytes of the files of the log together; 0 for no bound."`
	SignEvery    time.Duration `env:"AUDIT_CHECKPOINT_EVERY, default=10m" doc:"How often the log's state is signed and published on the bus while it grows, from 1s to 24h."`

	// LookEvery is how often the stream's room is looked at; 0 for every 10 seconds.
	LookEvery time.Duration
}

// Validate implements the check that [config.Load] makes.
func (c Config) Validate() error {
	errs := []error{
		config.Between("AUDIT_SEGMENT_BYTES", c.SegmentBytes, 1<<20, chain.MaxSegmentBytes),
		config.Between("AUDIT_CHECKPOINT_EVERY", c.SignEvery, time.Second, 24*time.Hour),
		config.Between("AUDIT_KEEP", c.KeepFor, 0, 100*365*24*time.Hour),
		config.Between("AUDIT_KEEP_BYTES", c.KeepBytes, 0, 1<<50),
	}
	if c.Dir == "" {
		errs = append(errs, config.Faultf("AUDIT_DIR", "required"))
	}
	return errors.Join(errs...)
}

// Files in the directory of the log.
func logDir(dir string) string    { return filepath.Join(dir, "log") }
func indexFile(dir string) string { return filepath.Join(dir, "index.db") }
