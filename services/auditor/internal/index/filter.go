package index

import (
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/audit"
)

// byGroup is whether a group alone decides if its requests match: then sums by group
// answer everything.
func byGroup(f audit.Filter) bool {
	return f.Rule == "" && f.MinSeverity == proto.SeverityInfo && f.IDPrefix == "" && !f.Interrupted
}

// conditions are the parts of an SQL condition, with what is bound to them.
type conditions struct {
	parts []string
	args  []any
}

func (c *conditions) and(part string, args ...any) {
	c.parts = append(c.parts, part)
	c.args = append(c.args, args...)
}

// where is a WHERE clause, or nothing if there are no conditions.
func (c *conditions) where() string {
	if len(c.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}

// groupConditions are those of the table groups.
func groupConditions(f audit.Filter) conditions {
	var c conditions
	if f.Client != "" {
		c.and("client = ?", name(f.Client))
	}
	if f.Provider != "" {
		c.and("provider = ?", name(f.Provider))
	}
	if f.Model != "" {
		c.and("(model = ? OR asked = ?)", name(f.Model), name(f.Model))
	}
	if f.Decision != "" {
		c.and("decision = ?", string(f.Decision))
	}
	if f.Status != 0 {
		c.and("status = ?", f.Status)
	}
	return c
}

// requestConditions are those of the table requests. What began before cutoff
// and has no end is interrupted.
func requestConditions(f audit.Filter, cutoff time.Time) conditions {
	var c conditions
	if !f.Since.IsZero() {
		c.and("time >= ?", ceilMicro(f.Since))
	}
	if !f.Until.IsZero() {
		c.and("time < ?", ceilMicro(f.Until))
	}
	if g := groupConditions(f); len(g.parts) > 0 {
		c.and("grp IN (SELECT id FROM groups"+g.where()+")", g.args...)
	}
	if f.MinSeverity > proto.SeverityInfo {
		c.and("severity >= ?", int64(f.MinSeverity))
	}
	if f.Interrupted {
		c.and("end_seq = 0 AND time < ?", cutoff.UnixMicro())
	}
	if f.IDPrefix != "" {
		c.and("request_id >= ? AND request_id < ?", f.IDPrefix, f.IDPrefix+afterAll)
	}
	if f.Tool != "" {
		c.and("EXISTS (SELECT 1 FROM calls WHERE tool = (SELECT id FROM tools WHERE name = ?) AND request = requests.id)", name(f.Tool))
	}
	if f.Rule != "" {
		c.and("EXISTS (SELECT 1 FROM findings WHERE rule = ? AND request = requests.id)", name(f.Rule))
	}
	return c
}

// afterAll sorts behind anything that can follow a prefix: SQLite compares text byte
// by byte, and this is the highest code point.
const afterAll = "\U0010ffff"

// ceilMicro keeps a bound exact although times are stored cut to microseconds.
func ceilMicro(t time.Time) int64 {
	micro := t.UnixMicro()
	if time.UnixMicro(micro).Before(t) {
		micro++
	}
	return micro
}
