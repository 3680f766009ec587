package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/openclaw-security/bus/proto"
)

// maxInterned bounds the names and groups whose ids the writer remembers; they
// come from requests, so there can be any number.
const maxInterned = 4096

// writer is the one connection that changes the file.
type writer struct {
	db   *sql.DB
	conn *sql.Conn

	find, insert, end, start       *sql.Stmt
	call, finding, oddity          *sql.Stmt
	findGroup, addGroup            *sql.Stmt
	findTool, addTool              *sql.Stmt
	findSums, putSums, setPosition *sql.Stmt
	statements                     []*sql.Stmt // all of them

	groups map[group]int64
	tools  map[string]int64
	buffer []byte
}

func openWriter(dsn string) (*writer, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	w := &writer{db: db}
	if err := w.open(context.Background()); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *writer) open(ctx context.Context) error {
	var err error
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return err
	}
	var tables int
	if err := w.conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		create := fmt.Sprintf("BEGIN IMMEDIATE; PRAGMA application_id = %d; PRAGMA user_version = %d; %s COMMIT", applicationID, schemaVersion, schema)
		if _, err := w.conn.ExecContext(ctx, create); err != nil {
			return fmt.Errorf("creating the tables: %w", err)
		}
	} else if err := checkVersion(ctx, w.conn); err != nil {
		return err
	}
	w.forget()
	for _, s := range []struct {
		statement **sql.Stmt
		text      string
	}{
		{&w.find, "SELECT id, start_seq, end_seq FROM requests WHERE request_id = ?"},
		{&w.insert, "INSERT INTO requests (id, request_id, start_seq, end_seq, time, grp, severity, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"},
		{&w.end, "UPDATE requests SET end_seq = ?, time = ?, grp = ?, severity = ?, record = ? WHERE id = ?"},
		{&w.start, "UPDATE requests SET start_seq = ? WHERE id = ?"},
		{&w.call, "INSERT OR IGNORE INTO calls (tool, request) VALUES (?, ?)"},
		{&w.finding, "INSERT OR IGNORE INTO findings (rule, request) VALUES (?, ?)"},
		{&w.oddity, "INSERT OR REPLACE INTO oddities (seq, what) VALUES (?, ?)"},
		{&w.findGroup, "SELECT id FROM groups WHERE client = ? AND provider = ? AND model = ? AND asked = ? AND decision = ? AND status = ?"},
		{&w.addGroup, "INSERT INTO groups (client, provider, model, asked, decision, status) VALUES (?, ?, ?, ?, ?, ?)"},
		{&w.findTool, "SELECT id FROM tools WHERE name = ?"},
		{&w.addTool, "INSERT INTO tools (name) VALUES (?)"},
		{&w.findSums, "SELECT sums FROM rollups WHERE tool = ? AND hour = ? AND grp = ?"},
		{&w.putSums, "INSERT OR REPLACE INTO rollups (tool, hour, grp, sums) VALUES (?, ?, ?, ?)"},
		{&w.setPosition, "UPDATE position SET seq = ?, head = ? WHERE id = 1"},
	} {
		if *s.statement, err = w.conn.PrepareContext(ctx, s.text); err != nil {
			return fmt.Errorf("preparing %q: %w", s.text, err)
		}
		w.statements = append(w.statements, *s.statement)
	}
	return nil
}

// close leaves one file behind if no reader is left. A statement that is still
// open would keep SQLite from tidying up.
func (w *writer) close() error {
	var errs []error
	for _, s := range w.statements {
		errs = append(errs, s.Close())
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
	}
	return errors.Join(append(errs, w.db.Close())...)
}

// transaction runs f in one. After an error nothing of it has happened.
func (w *writer) transaction(ctx context.Context, f func(context.Context) error) (err error) {
	// Cancelling a statement could end the transaction behind our back.
	ctx = context.WithoutCancel(ctx)
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	if err = f(ctx); err == nil {
		_, err = w.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// It can have been rolled back by the error itself, so this one says nothing.
		_, _ = w.conn.ExecContext(ctx, "ROLLBACK")
		w.forget()
	}
	return err
}

// forget drops the ids that may have been given in a transaction that failed.
func (w *writer) forget() {
	w.groups, w.tools = make(map[group]int64), make(map[string]int64)
}

func (w *writer) group(ctx context.Context, g group) (int64, error) {
	return intern(ctx, w.groups, g, w.findGroup, w.addGroup, g.client, g.provider, g.model, g.asked, string(g.decision), g.status)
}

func (w *writer) tool(ctx context.Context, name string) (int64, error) {
	return intern(ctx, w.tools, name, w.findTool, w.addTool, name)
}

func intern[K comparable](ctx context.Context, known map[K]int64, key K, find, add *sql.Stmt, args ...any) (int64, error) {
	if id, ok := known[key]; ok {
		return id, nil
	}
	var id int64
	err := find.QueryRowContext(ctx, args...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		var result sql.Result
		if result, err = add.ExecContext(ctx, args...); err == nil {
			id, err = result.LastInsertId()
		}
	}
	if err != nil {
		return 0, fmt.Errorf("looking up %v: %w", key, err)
	}
	if len(known) >= maxInterned {
		clear(known)
	}
	known[key] = id
	return id, nil
}

// rollup adds sums to those of their hour.
func (w *writer) rollup(ctx context.Context, tool, hour, grp int64, s *sums) error {
	var stored []byte
	err := w.findSums.QueryRowContext(ctx, tool, hour, grp).Scan(&stored)
	switch {
	case err == nil:
		var before sums
		if err := before.decode(stored); err != nil {
			return fmt.Errorf("%w: %w", ErrRebuild, err)
		}
		s.add(&before)
	case !errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("reading sums: %w", err)
	}
	w.buffer = s.appendTo(w.buffer[:0])
	if _, err := w.putSums.ExecContext(ctx, tool, hour, grp, w.buffer); err != nil {
		return fmt.Errorf("writing sums: %w", err)
	}
	return nil
}

// details writes what requests are looked for by.
func (w *writer) details(ctx context.Context, id int64, a *proto.Audit) error {
	for _, c := range a.ToolCalls {
		tool, err := w.tool(ctx, toolOf(c))
		if err != nil {
			return err
		}
		if _, err := w.call.ExecContext(ctx, tool, id); err != nil {
			return fmt.Errorf("writing a tool call: %w", err)
		}
	}
	for _, f := range a.Findings {
		if _, err := w.finding.ExecContext(ctx, name(f.Rule), id); err != nil {
			return fmt.Errorf("writing a finding: %w", err)
		}
	}
	return nil
}

// schemaVersion changes with everything that makes an older file unfit: the
// tables, the encoding of the sums, the histogram's buckets.
const schemaVersion = 1

// applicationID marks the file as ours ("OCAI").
const applicationID = 0x4f434149

// Times are microseconds since 1970. A request's id is the place in the log of
// the first of its records that was seen, so that ids ascend.
//
// requests_time covers the conditions of most lists, which then touch only the
// rows that they return.
const schema = `
CREATE TABLE position (
	id   INTEGER PRIMARY KEY CHECK (id = 1),
	seq  INTEGER NOT NULL,
	head TEXT NOT NULL
);
INSERT INTO position VALUES (1, 0, '');

CREATE TABLE groups (
	id       INTEGER PRIMARY KEY,
	client   TEXT NOT NULL,
	provider TEXT NOT NULL,
	model    TEXT NOT NULL,
	asked    TEXT NOT NULL,
	decision TEXT NOT NULL,
	status   INTEGER NOT NULL,
	UNIQUE (client, provider, model, asked, decision, status)
);

CREATE TABLE tools (
	id   INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
);

CREATE TABLE requests (
	id         INTEGER PRIMARY KEY,
	request_id TEXT NOT NULL UNIQUE,
	start_seq  INTEGER NOT NULL,
	end_seq    INTEGER NOT NULL,
	time       INTEGER NOT NULL,
	grp        INTEGER NOT NULL,
	severity   INTEGER NOT NULL,
	record     BLOB NOT NULL
);
CREATE INDEX requests_time ON requests (time, id, grp, severity, end_seq);
CREATE INDEX requests_unfinished ON requests (time, grp) WHERE end_seq = 0;

CREATE TABLE calls (
	tool    INTEGER NOT NULL,
	request INTEGER NOT NULL,
	PRIMARY KEY (tool, request)
) WITHOUT ROWID;

CREATE TABLE findings (
	rule    TEXT NOT NULL,
	request INTEGER NOT NULL,
	PRIMARY KEY (rule, request)
) WITHOUT ROWID;

-- tool 0 sums up all requests of the hour and group, another those that called it.
CREATE TABLE rollups (
	tool INTEGER NOT NULL,
	hour INTEGER NOT NULL,
	grp  INTEGER NOT NULL,
	sums BLOB NOT NULL,
	PRIMARY KEY (tool, hour, grp)
) WITHOUT ROWID;

-- Records of the log that are in no row.
CREATE TABLE oddities (
	seq  INTEGER PRIMARY KEY,
	what TEXT NOT NULL
);
`
