CREATE TABLE errands (
  action TEXT PRIMARY KEY,
  device TEXT NOT NULL,
  kind TEXT NOT NULL,
  time INTEGER NOT NULL
);
CREATE INDEX errands_by_time ON errands (time);

CREATE TABLE artifacts (
  id TEXT PRIMARY KEY,
  device TEXT NOT NULL,
  action TEXT NOT NULL,
  kind TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  key BLOB NOT NULL,
  change_time INTEGER NOT NULL,
  delete_time INTEGER NOT NULL,
  stored_bytes INTEGER NOT NULL,
  whole INTEGER NOT NULL
);
CREATE INDEX artifacts_by_change_time ON artifacts (whole, change_time, id);
CREATE INDEX artifacts_by_delete_time ON artifacts (delete_time, id);

CREATE TABLE usage (
  device TEXT PRIMARY KEY,
  size_bytes INTEGER NOT NULL
);
