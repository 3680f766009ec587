package index

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
