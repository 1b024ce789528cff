-- Rows are found by their keys, but for: pages (newest first, by state, investigation, device or kind), watchers (what
-- changed since an event), the timer, the dispatcher's start, and what waits for a target or a kind.

CREATE TABLE actions (
  "name" TEXT PRIMARY KEY NOT NULL,
  "action" BLOB NOT NULL,
  "state" INTEGER NOT NULL,
  "kind" TEXT NOT NULL,
  "plane" TEXT NOT NULL,
  "device" TEXT NOT NULL,
  "target" TEXT NOT NULL,
  "investigation" TEXT NOT NULL,
  "equal_key" TEXT NOT NULL,
  "content" BLOB NOT NULL,
  "fate" TEXT NOT NULL,
  "create_time" INTEGER NOT NULL,
  "update_time" INTEGER NOT NULL,
  "etag_time" INTEGER NOT NULL,
  "due_time" INTEGER,
  "last_event" INTEGER NOT NULL,
  "events" INTEGER NOT NULL,
  "revision" INTEGER NOT NULL,
  "needs" INTEGER NOT NULL,
  "preview" BLOB NOT NULL,
  "planned_chunks" INTEGER NOT NULL,
  "warrant_digest" BLOB NOT NULL,
  "seal_key" BLOB NOT NULL,
  "receipts" TEXT NOT NULL,
  "effect_time" INTEGER,
  "effect_report" TEXT NOT NULL,
  "undo" TEXT NOT NULL,
  "fallen" INTEGER NOT NULL,
  "supersedes" TEXT NOT NULL
);

CREATE TABLE investigations (
  "name" TEXT PRIMARY KEY NOT NULL,
  "investigation" BLOB NOT NULL,
  "detector" TEXT NOT NULL,
  "state" INTEGER NOT NULL,
  "content" BLOB NOT NULL,
  "create_time" INTEGER NOT NULL,
  "update_time" INTEGER NOT NULL,
  "last_event" INTEGER NOT NULL,
  "complete" INTEGER NOT NULL,
  "terminated" INTEGER NOT NULL,
  "devices" TEXT NOT NULL,
  "evidence" INTEGER NOT NULL,
  "threats" INTEGER NOT NULL,
  "undetermined" INTEGER NOT NULL,
  "unserved" INTEGER NOT NULL,
  "pending" INTEGER NOT NULL,
  "waiting" INTEGER NOT NULL,
  "running" INTEGER NOT NULL,
  "remediated" INTEGER NOT NULL,
  "rejected" INTEGER NOT NULL,
  "failed" INTEGER NOT NULL,
  "expired" INTEGER NOT NULL,
  "undone" INTEGER NOT NULL
);

CREATE TABLE evidence (
  "name" TEXT PRIMARY KEY NOT NULL,
  "stored" BLOB NOT NULL,
  "investigation" TEXT NOT NULL,
  "number" INTEGER NOT NULL,
  "revision" INTEGER NOT NULL,
  "content" BLOB NOT NULL,
  "verdict" INTEGER NOT NULL,
  "no_action" INTEGER NOT NULL,
  "waits_for" TEXT NOT NULL,
  "update_time" INTEGER NOT NULL
);

CREATE TABLE outbox (
  "action" TEXT PRIMARY KEY NOT NULL,
  "plane" TEXT NOT NULL,
  "device" TEXT NOT NULL,
  "kind" TEXT NOT NULL,
  "order" INTEGER NOT NULL,
  "sequence" INTEGER NOT NULL,
  "state" INTEGER NOT NULL,
  "sealed" BLOB NOT NULL,
  "cancel" INTEGER NOT NULL
);

CREATE TABLE events (
  "number" INTEGER PRIMARY KEY,
  "time" INTEGER NOT NULL,
  "actor" TEXT NOT NULL,
  "event" TEXT NOT NULL,
  "resource" TEXT NOT NULL,
  "payload" BLOB NOT NULL,
  "payload_digest" BLOB NOT NULL,
  "hash" BLOB NOT NULL
);

CREATE TABLE requests (
  "id" TEXT PRIMARY KEY NOT NULL,
  "resource" TEXT NOT NULL,
  "content" BLOB NOT NULL
);

CREATE TABLE item_chunks (
  "name" TEXT PRIMARY KEY NOT NULL,
  "action" TEXT NOT NULL,
  "phase" INTEGER NOT NULL,
  "index" INTEGER NOT NULL,
  "body" BLOB NOT NULL
);

CREATE TABLE effects (
  "name" TEXT PRIMARY KEY NOT NULL,
  "effect" BLOB NOT NULL,
  "kind" TEXT NOT NULL,
  "target" TEXT NOT NULL,
  "device" TEXT NOT NULL,
  "action" TEXT NOT NULL,
  "state" INTEGER NOT NULL,
  "start_time" INTEGER NOT NULL,
  "probe_time" INTEGER NOT NULL
);

CREATE TABLE targets (
  "name" TEXT PRIMARY KEY NOT NULL,
  "report" BLOB NOT NULL,
  "state" INTEGER NOT NULL,
  "identity_key" BLOB NOT NULL,
  "host_names" TEXT NOT NULL,
  "kinds" TEXT NOT NULL
);

CREATE TABLE hosts (
  "host_name" TEXT PRIMARY KEY NOT NULL,
  "devices" TEXT NOT NULL
);

CREATE TABLE executors (
  "plane" TEXT PRIMARY KEY NOT NULL,
  "identity_key" BLOB NOT NULL,
  "kinds" TEXT NOT NULL
);

CREATE TABLE equals (
  "key" TEXT PRIMARY KEY NOT NULL,
  "actions" TEXT NOT NULL
);

CREATE TABLE budgets (
  "name" TEXT PRIMARY KEY NOT NULL,
  "uses" TEXT NOT NULL
);

CREATE TABLE freezes (
  "name" TEXT PRIMARY KEY NOT NULL,
  "status" BLOB NOT NULL,
  "sealed" BLOB NOT NULL
);

CREATE TABLE policies (
  "number" INTEGER PRIMARY KEY,
  "policy" BLOB NOT NULL
);

CREATE TABLE counters (
  "name" TEXT PRIMARY KEY NOT NULL,
  "value" INTEGER NOT NULL,
  "digest" BLOB NOT NULL
);

CREATE INDEX actions_by_time ON actions (create_time, name);
CREATE INDEX actions_pending ON actions (create_time, name) WHERE state IN (1, 2);
CREATE INDEX actions_live ON actions (device, name) WHERE state < 7;
CREATE INDEX actions_by_state ON actions (state, create_time, name);
CREATE INDEX actions_by_investigation ON actions (investigation, create_time, name);
CREATE INDEX actions_by_device ON actions (device, create_time, name);
CREATE INDEX actions_by_kind ON actions (kind, create_time, name);
CREATE INDEX actions_by_event ON actions (last_event);
CREATE INDEX actions_due ON actions (due_time) WHERE due_time IS NOT NULL;
CREATE INDEX investigations_by_time ON investigations (create_time, name);
CREATE INDEX investigations_by_state ON investigations (state, create_time, name);
CREATE INDEX investigations_by_detector ON investigations (detector, create_time, name);
CREATE INDEX investigations_by_event ON investigations (last_event);
CREATE INDEX evidence_by_number ON evidence (investigation, number);
CREATE INDEX evidence_waiting ON evidence (waits_for, name) WHERE waits_for != '';
CREATE INDEX events_by_resource ON events (resource, number);
CREATE INDEX item_chunks_by_action ON item_chunks (action, phase, "index");
CREATE INDEX effects_by_time ON effects (start_time, name);
CREATE INDEX effects_by_device ON effects (device, name) WHERE device != '';
CREATE INDEX outbox_by_device ON outbox (device, action);
