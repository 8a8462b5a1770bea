CREATE TABLE events (
	id INTEGER NOT NULL,
	run_id TEXT,
	step_index INTEGER,
	type TEXT NOT NULL,
	at TEXT NOT NULL,
	data TEXT NOT NULL,
	previous TEXT NOT NULL,
	hash TEXT NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX events_run ON events (run_id);
CREATE TABLE runs (
	id TEXT NOT NULL,
	task_id TEXT NOT NULL,
	parent_id TEXT,
	agent TEXT NOT NULL,
	target TEXT NOT NULL,
	engine TEXT NOT NULL,
	state TEXT NOT NULL,
	requested_by TEXT NOT NULL,
	host TEXT NOT NULL,
	pid INTEGER NOT NULL,
	owner TEXT NOT NULL,
	created_at TEXT NOT NULL,
	ended_at TEXT,
	request TEXT NOT NULL,
	"plan" TEXT NOT NULL,
	plan_digest TEXT NOT NULL,
	tools TEXT NOT NULL,
	result TEXT,
	pause_requested INTEGER NOT NULL,
	cancel_requested INTEGER NOT NULL,
	PRIMARY KEY (id)
);
CREATE TABLE table_history (
	id INTEGER NOT NULL,
	target TEXT NOT NULL,
	object TEXT NOT NULL,
	tool TEXT NOT NULL,
	run_id TEXT NOT NULL,
	step_index INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	status TEXT NOT NULL,
	at TEXT NOT NULL,
	seconds FLOAT NOT NULL,
	bytes_before INTEGER,
	bytes_after INTEGER,
	"before" TEXT NOT NULL,
	"after" TEXT,
	reason TEXT,
	PRIMARY KEY (id),
	UNIQUE (run_id, step_index, object, attempt)
);
CREATE INDEX table_history_object ON table_history (target, tool, object);
CREATE TABLE approvals (
	id TEXT NOT NULL,
	run_id TEXT NOT NULL,
	step_index INTEGER NOT NULL,
	step_id TEXT NOT NULL,
	digest TEXT NOT NULL,
	level TEXT NOT NULL,
	status TEXT NOT NULL,
	request TEXT NOT NULL,
	requested_by TEXT NOT NULL,
	requested_at TEXT NOT NULL,
	expires_at TEXT NOT NULL,
	decided_by TEXT,
	decided_at TEXT,
	reason TEXT,
	modifications TEXT,
	PRIMARY KEY (id),
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
CREATE INDEX approvals_run ON approvals (run_id, step_index);
CREATE TABLE checkpoints (
	id INTEGER NOT NULL,
	run_id TEXT NOT NULL,
	task_id TEXT NOT NULL,
	name TEXT NOT NULL,
	step_index INTEGER,
	total_steps INTEGER NOT NULL,
	version INTEGER NOT NULL,
	created_at TEXT NOT NULL,
	tags TEXT,
	data TEXT,
	PRIMARY KEY (id),
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
CREATE INDEX checkpoints_run ON checkpoints (run_id);
CREATE TABLE steps (
	run_id TEXT NOT NULL,
	step_index INTEGER NOT NULL,
	step_id TEXT NOT NULL,
	tool TEXT NOT NULL,
	status TEXT NOT NULL,
	attempt INTEGER NOT NULL,
	params TEXT,
	digest TEXT,
	idempotency_key TEXT,
	server_session TEXT,
	found TEXT,
	output TEXT,
	error TEXT,
	reason TEXT,
	approved_by TEXT,
	started_at TEXT,
	ended_at TEXT,
	seconds FLOAT,
	PRIMARY KEY (run_id, step_index),
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
