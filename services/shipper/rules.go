package shipper

import (
	"io"
	"log/slog"
	"time"

	"github.com/openclaw-security/bus/proto"
	defaults "github.com/openclaw-security/bus/rules"
	"github.com/openclaw-security/bus/rules/lists"
	"github.com/openclaw-security/bus/services/shipper/internal/rules"
)

// NoRules is the value of SHIPPER_RULES that switches local rules off.
const NoRules = "none"

// loadRules reads a rules file; "" stands for the shipped rules, which also look into
// OpenClaw's state directory if that is a particular one.
func loadRules(file, state string, log *slog.Logger) (*rules.Engine, error) {
	switch file {
	case "":
		return rules.Parse(defaults.DefaultName, lists.WithStateDir(defaults.Default(), state), log)
	case NoRules:
		return &rules.Engine{}, nil
	}
	return rules.Load(file, log)
}

// RuleStage is the stage of local rules without a bus, for trying rules out. A
// file called "" stands for the shipped rules. Faults in a file are returned as a
// [config.Errors].
type RuleStage struct {
	Log *slog.Logger // gets the first failure of each rule's condition
}

// Check returns the names of a file's rules, in its order.
func (s RuleStage) Check(file string) ([]string, error) {
	engine, err := loadRules(file, "", s.Log)
	if err != nil {
		return nil, err
	}
	return engine.Names(), nil
}

// Test applies a file's rules to a capture, the lines that source's sensor wrote,
// and returns how many lines there are. It gives each the lines that rules have
// matched, counted from 1; after is nil where the event is dropped.
func (s RuleStage) Test(file, source string, capture io.Reader, each func(line int, before, after *proto.Event, matched []string) error) (int, error) {
	engine, err := loadRules(file, "", s.Log)
	if err != nil {
		return 0, err
	}
	n, err := normalizer(Config{Source: source}, time.Now)
	if err != nil {
		return 0, err
	}
	return engine.Try(n, capture, func(c *rules.Change) error {
		after := &c.After
		if c.Dropped {
			after = nil
		}
		return each(c.Line, &c.Before, after, c.Rules)
	})
}
