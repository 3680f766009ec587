package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/audit"
)

// portion is what some requests of a group have in common, with their sums.
type portion struct {
	group
	hour  int64
	tool  string // one that all of them called; "" is all requests of the group
	state audit.State
	sums  *sums
}

// selection is what is to be summed up.
type selection struct {
	filter audit.Filter
	byTool bool                  // also by each tool, not only all requests or those of the filter's tool
	whole  func(hour int64) bool // whether an hour's requests belong together; nil if they always do
}

// reading is one look at the file, all of it at the same moment.
type reading struct {
	selection
	tx     *sql.Tx
	cutoff time.Time
	take   func(portion)

	findGroup, findTool *sql.Stmt
	groups              map[int64]group
	tools               map[int64]string
}

// sumUp hands take portions that together are all requests that the filter
// selects: each finished one once with tool "", or the filter's tool if it names
// one, and once for every tool that it called if byTool is set. The sums are
// valid during the call only.
//
//	Since     whole hours: rollups      Until
//	├──┤├────┤├────┤├────┤├────┤├────┤├──┤
//	 ▲                ▲                 ▲
//	 └ requests       └ hours that are  └ requests
//	                    not whole: requests
//
// What the sums by group do not have, such as rules, is answered from the requests
// alone, which takes time for each of them.
//
// The number of records that are in no row is of the same moment.
func (x *Index) sumUp(ctx context.Context, w selection, take func(portion)) (unindexed int64, err error) {
	tx, err := x.read.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	r := &reading{selection: w, tx: tx, cutoff: x.cutoff(), take: take, groups: make(map[int64]group), tools: make(map[int64]string)}
	if r.findGroup, err = tx.PrepareContext(ctx, "SELECT client, provider, model, asked, decision, status FROM groups WHERE id = ?"); err != nil {
		return 0, err
	}
	if r.findTool, err = tx.PrepareContext(ctx, "SELECT name FROM tools WHERE id = ?"); err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM oddities").Scan(&unindexed); err != nil {
		return 0, err
	}
	if err := r.unfinished(ctx); err != nil || w.filter.Interrupted {
		return unindexed, err
	}
	if !byGroup(w.filter) {
		return unindexed, r.finished(ctx, requestConditions(w.filter, r.cutoff))
	}
	return unindexed, r.rollups(ctx)
}

// rollups reads the sums of whole hours, and the requests of the others.
func (r *reading) rollups(ctx context.Context) error {
	f := r.filter
	var c conditions
	switch {
	case f.Tool != "":
		c.and("tool = (SELECT id FROM tools WHERE name = ?)", name(f.Tool))
	case !r.byTool:
		c.and("tool = 0")
	}
	if g := groupConditions(f); len(g.parts) > 0 {
		c.and("grp IN (SELECT id FROM groups"+g.where()+")", g.args...)
	}
	apart := make(map[int64]bool) // hours to be read request by request
	if !f.Since.IsZero() {
		since := ceilMicro(f.Since)
		apart[hourOf(since)] = since%microsPerHour != 0
		c.and("hour >= ?", hourOf(since))
	}
	if !f.Until.IsZero() {
		until := ceilMicro(f.Until)
		if until%microsPerHour != 0 {
			apart[hourOf(until)] = true
		}
		c.and("hour < ?", hourOf(until))
	}
	rows, err := r.tx.QueryContext(ctx, "SELECT tool, hour, grp, sums FROM rollups"+c.where(), c.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var s sums
	for rows.Next() {
		var tool, grp int64
		var stored sql.RawBytes
		p := portion{state: audit.StateDone, sums: &s}
		if err := rows.Scan(&tool, &p.hour, &grp, &stored); err != nil {
			return err
		}
		if !apart[p.hour] && r.whole != nil && !r.whole(p.hour) {
			apart[p.hour] = true
		}
		if apart[p.hour] {
			continue
		}
		if err := s.decode(stored); err != nil {
			return fmt.Errorf("%w: %w", ErrRebuild, err)
		}
		if p.group, err = r.group(grp); err != nil {
			return err
		}
		if p.tool, err = r.tool(tool); err != nil {
			return err
		}
		r.take(p)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, hour := range slices.Sorted(maps.Keys(apart)) {
		if !apart[hour] {
			continue
		}
		c := requestConditions(f, r.cutoff)
		c.and("time >= ? AND time < ?", hour*microsPerHour, (hour+1)*microsPerHour)
		if err := r.finished(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// group is the group of that id.
func (r *reading) group(id int64) (group, error) {
	return recall(r.groups, id, func() (g group, err error) {
		err = r.findGroup.QueryRow(id).Scan(&g.client, &g.provider, &g.model, &g.asked, &g.decision, &g.status)
		return g, err
	})
}

// tool is the name of the tool of that id; 0 is all requests.
func (r *reading) tool(id int64) (string, error) {
	if id == 0 {
		return "", nil
	}
	return recall(r.tools, id, func() (name string, err error) {
		err = r.findTool.QueryRow(id).Scan(&name)
		return name, err
	})
}

// recall looks up what is not known yet, and knows a bounded number.
func recall[V any](known map[int64]V, id int64, find func() (V, error)) (V, error) {
	if v, ok := known[id]; ok {
		return v, nil
	}
	v, err := find()
	if errors.Is(err, sql.ErrNoRows) {
		return v, fmt.Errorf("%w: sums without a name", ErrRebuild)
	}
	if err != nil {
		return v, err
	}
	if len(known) >= maxInterned {
		clear(known)
	}
	known[id] = v
	return v, nil
}

// finished sums up ended requests one by one.
func (r *reading) finished(ctx context.Context, c conditions) error {
	c.and("end_seq > 0")
	return r.each(ctx, c, func(a *proto.Audit) {
		s := sumsOf(a)
		p := portion{group: groupOf(a), hour: hourOf(a.Time.UnixMicro()), state: audit.StateDone, sums: s}
		byTool := s.byTool(a) // before the sums are used up
		if r.filter.Tool == "" {
			r.take(p)
		}
		for tool, t := range byTool {
			if tool == r.filter.Tool || r.filter.Tool == "" && r.byTool {
				p.tool, p.sums = tool, t
				r.take(p)
			}
		}
	})
}

// unfinished sums up the requests that have no end.
func (r *reading) unfinished(ctx context.Context) error {
	c := requestConditions(r.filter, r.cutoff)
	c.and("end_seq = 0")
	return r.each(ctx, c, func(a *proto.Audit) {
		p := portion{group: groupOf(a), hour: hourOf(a.Time.UnixMicro()), state: audit.StateOpen, sums: sumsOf(a)}
		if a.Time.Before(r.cutoff) {
			p.state = audit.StateInterrupted
		}
		r.take(p)
	})
}

func (r *reading) each(ctx context.Context, c conditions, take func(*proto.Audit)) error {
	rows, err := r.tx.QueryContext(ctx, "SELECT record FROM requests"+c.where(), c.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var record sql.RawBytes
		if err := rows.Scan(&record); err != nil {
			return err
		}
		a, err := decode(record)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRebuild, err)
		}
		take(a)
	}
	return rows.Err()
}
