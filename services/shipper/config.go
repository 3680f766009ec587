package shipper

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/shipper/internal/mapping"
	"github.com/openclaw-security/bus/services/shipper/internal/safeopen"
)

// The sources that the shipper knows.
const (
	SourceSuricata = "suricata"
	SourceTracee   = "tracee"
)

// The values of SHIPPER_RAW.
const (
	rawRedacted = "redacted"
	rawVerbatim = "verbatim"
)

// Config says what one shipper follows.
type Config struct {
	NATS    config.NATS
	Source  string `env:"SHIPPER_SOURCE, required" doc:"Which sensor wrote the file: suricata or tracee, or with SHIPPER_MAPPING any other name. It is also the source's name on the bus."`
	Mapping string `env:"SHIPPER_MAPPING" doc:"File that says how another sensor's JSON records are read; docs/mappings.md describes it."`
	Rules   string `env:"SHIPPER_RULES" doc:"File of local rules that raise, lower, retitle, tag or drop events; docs/rules.md describes it. Unset means the rules that are shipped, none means no rules."`
	State   string `env:"OPENCLAW_STATE_DIR" doc:"OpenClaw's state directory, where OpenClaw has this setting too; an absolute path. The shipped rules then look there as well, and Tracee watches it if OPENCLAW_NATIVE_HOME is set."`
	Path    string `env:"SHIPPER_PATH" doc:"File to follow, or a pattern such as eve.*.json for at most 120. Unset means where the sensor writes by default: suricata/logs/eve.json, or for Tracee as with TRACEE_EVENTS_PATH. On a path through a directory that everybody may write, such as /tmp, the file must belong to root or to the shipper's user, and only its owner may write it."`
	Rotated string `env:"SHIPPER_ROTATED_DIR" doc:"Directory to which rotated files are moved (olddir of logrotate), if it is not that of the file: absolute, or relative to that. Unset means none. Files there are read like rotated ones beside the file, whether they are compressed or not."`
	Host    string `env:"OPENCLAW_HOST" doc:"Name of this machine on the bus. Unset means the system's host name. Changing it makes the files new ones, read from the beginning."`
	MaxLine int    `env:"SHIPPER_MAX_LINE, default=1048576" doc:"Longest line carried whole, in bytes, from 1024 to 1048576; of a longer one the beginning is read."`
	Hint    string `env:"SHIPPER_HINT" doc:"File in which the shipper notes where it stands, for the one case in which the stream cannot tell: retention has removed all that this source published. Unset means no note."`
	Silence string `env:"SENSOR_SILENCE" doc:"For how long a sensor may write no line, and Suricata see no packet from its start on, before that is an alarm, such as 5m; from 1s to 24h, or 0s for no such alarm. Unset means 5m for Suricata, whose statistics come more often, 15m for Tracee, and no such alarm for other sensors."`
	Metrics string `env:"TRACEE_METRICS_URL" doc:"Where Tracee serves its metrics, such as http://127.0.0.1:3366/metrics (tracee --server http-address=127.0.0.1:3366 --server metrics). Events that it says it has lost are an alarm. Unset means that it is not asked."`
	Raw     string `env:"SHIPPER_RAW, default=redacted" doc:"What is published of the line itself, under raw: redacted, in which secrets of known shapes are replaced by [redacted] and raw_sha256 is that of the line in the sensor's file, or verbatim. All other fields are redacted in any case."`
	Flood   int    `env:"ALERT_FLOOD, default=200" doc:"How many alerts of one rule a sensor may raise in a minute. What is over is published as events with the tag flood, until a minute in which there are fewer, and one alert a minute counts them. From 1 to 100000; 0 is no limit."`
	Start   string `env:"SHIPPER_START, default=beginning" doc:"Where to begin a file that this source has never published from: beginning or end."`
}

// defaultPaths are where the sensors write when nobody has said otherwise.
var defaultPaths = map[string]string{
	SourceSuricata: "suricata/logs/eve.json",
	SourceTracee:   "/var/lib/tracee/events.json",
}

// formerTracee is where Tracee wrote by default before, in a folder in which any
// user of the machine can be the first to create the file.
const formerTracee = "/tmp/tracee/out/events.json"

// defaultPath is where a source writes when nobody has said otherwise: the usual
// place or, if nothing is there, former if that holds a file that no other user
// can have written. The error says why former is not used although it exists.
func defaultPath(usual, former string) (string, error) {
	if _, err := os.Stat(usual); former == "" || !errors.Is(err, fs.ErrNotExist) {
		return usual, nil
	}
	f, err := safeopen.Open(former)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usual, nil
	case err != nil:
		return usual, err
	}
	return former, f.Close()
}

// Validate implements the check that [config.Load] makes.
func (c Config) Validate() error {
	_, rulesErr := loadRules(c.Rules, c.State, slog.New(slog.DiscardHandler))
	return errors.Join(
		rulesErr,
		validateState(c.State),
		c.validateSource(),
		config.Between("SHIPPER_MAX_LINE", c.MaxLine, 1<<10, 1<<20),
		config.Between("ALERT_FLOOD", c.Flood, 0, 100_000),
		config.OneOf("SHIPPER_RAW", c.Raw, rawRedacted, rawVerbatim),
		config.OneOf("SHIPPER_START", c.Start, "beginning", "end"),
		c.validateWatch(),
	)
}

// statePath is a path that Tracee can watch, see tracee/run.sh.
var statePath = regexp.MustCompile(`^(/[A-Za-z0-9._@+-]+)+$`)

func validateState(dir string) error {
	if dir != "" && (!statePath.MatchString(dir) || filepath.Clean(dir) != dir) {
		return config.Faultf("OPENCLAW_STATE_DIR", "%.100q is not an absolute path of letters, digits and /._@+- without a slash at the end", dir)
	}
	return nil
}

// validateWatch checks the settings of the watch over the sensor.
func (c Config) validateWatch() (err error) {
	if c.Metrics != "" {
		err = config.URL("TRACEE_METRICS_URL", c.Metrics, "http", "https")
	}
	if c.Silence == "" {
		return err
	}
	d, parseErr := time.ParseDuration(c.Silence)
	switch {
	case parseErr != nil:
		return errors.Join(err, config.Faultf("SENSOR_SILENCE", "%.100q is not a duration such as 5m", c.Silence))
	case d == 0:
		return err
	}
	return errors.Join(err, config.Between("SENSOR_SILENCE", d, time.Second, 24*time.Hour))
}

// silence is how long the sensor may write nothing; 0 means for ever.
func (c Config) silence() time.Duration {
	if c.Silence != "" {
		d, _ := time.ParseDuration(c.Silence) // checked by Validate
		return d
	}
	switch c.sensor() {
	case SourceSuricata:
		return 5 * time.Minute
	case SourceTracee:
		return 15 * time.Minute
	}
	return 0
}

// sensor is the source if the shipper knows its records itself, and empty if a
// mapping reads them, under any name.
func (c Config) sensor() string {
	if c.Mapping != "" {
		return ""
	}
	return c.Source
}

// validateSource checks the source and how its records are read.
func (c Config) validateSource() error {
	if c.Mapping == "" {
		return config.OneOf("SHIPPER_SOURCE", c.Source, SourceSuricata, SourceTracee)
	}
	_, err := mapping.Load(c.Mapping)
	if c.Source != proto.Slug(c.Source) {
		err = errors.Join(err, config.Faultf("SHIPPER_SOURCE", "%q is not 1 to 63 characters of a-z, 0-9, - and _", c.Source))
	}
	if c.Path == "" {
		err = errors.Join(err, config.Faultf("SHIPPER_PATH", "must say which file to follow, because SHIPPER_MAPPING is set"))
	}
	return err
}

func (c Config) path() string {
	if c.Path != "" {
		return c.Path
	}
	if c.Source == SourceTracee {
		path, _ := defaultPath(defaultPaths[c.Source], formerTracee) // the file that is waited for is named in readiness
		return path
	}
	return defaultPaths[c.Source]
}
