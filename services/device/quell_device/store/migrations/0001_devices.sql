CREATE TABLE devices (
  id TEXT PRIMARY KEY,
  identity_key BLOB NOT NULL,
  enrolment BLOB NOT NULL,
  tags TEXT NOT NULL,
  enrol_time INTEGER NOT NULL,
  last_seen_time INTEGER NOT NULL,
  state TEXT NOT NULL,
  host_name TEXT NOT NULL,
  os TEXT NOT NULL,
  hello BLOB,
  facts BLOB,
  ban TEXT NOT NULL
);
CREATE INDEX devices_by_state ON devices (state, id);
CREATE INDEX devices_by_last_seen_time ON devices (last_seen_time, id);
CREATE INDEX devices_by_enrol_time ON devices (enrol_time, id);
CREATE INDEX devices_by_host_name ON devices (host_name, id);

CREATE TABLE tokens (
  digest TEXT PRIMARY KEY,
  tags TEXT NOT NULL,
  expire_time INTEGER NOT NULL,
  used_by TEXT NOT NULL
);

CREATE TABLE words (
  name TEXT PRIMARY KEY,
  number INTEGER NOT NULL,
  sealed BLOB
);
