-- One row: what the executor knows, and how late it was when it last wrote.
CREATE TABLE known (
    id INTEGER PRIMARY KEY,
    key_set BLOB,
    freeze BLOB,
    center_start INTEGER NOT NULL,
    sealed_time INTEGER NOT NULL,
    time INTEGER NOT NULL
);

CREATE TABLE warrants (
    action TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL,
    sealed BLOB NOT NULL,
    digests TEXT NOT NULL,
    stage TEXT NOT NULL,
    canceled INTEGER NOT NULL,
    snapshot TEXT NOT NULL,
    owned INTEGER NOT NULL,
    answers TEXT NOT NULL
);
CREATE INDEX warrants_open ON warrants (sequence) WHERE stage <> 'ended';
CREATE INDEX warrants_owning ON warrants (action) WHERE owned > 0;

-- Actions that were taken back before their warrant came, or before they were begun.
CREATE TABLE called_off (
    action TEXT PRIMARY KEY,
    taken_by TEXT NOT NULL
);

CREATE TABLE plans (
    id TEXT PRIMARY KEY,
    plan BLOB NOT NULL,
    begin_time INTEGER NOT NULL
);

-- The highest sequence that was begun on an item key or a name.
CREATE TABLE fences (
    "key" TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    action TEXT NOT NULL
);

CREATE TABLE owners (
    "key" TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    ownership BLOB NOT NULL
);
CREATE INDEX owners_owner ON owners (owner);
CREATE INDEX owners_kind ON owners (kind);

CREATE TABLE reverts (
    action TEXT PRIMARY KEY,
    time INTEGER NOT NULL
);

-- What goes up with an id, until it is acknowledged; receipts and item chunks stay for a warrant that comes again.
CREATE TABLE outgoing (
    id TEXT PRIMARY KEY,
    action TEXT NOT NULL,
    sort TEXT NOT NULL,
    position INTEGER NOT NULL,
    body BLOB NOT NULL,
    stored INTEGER NOT NULL
);
CREATE INDEX outgoing_open ON outgoing (position) WHERE stored = 0;

CREATE TABLE snapshots (
    digest TEXT PRIMARY KEY,
    items BLOB NOT NULL,
    keep_time INTEGER NOT NULL
);

-- How many effects of a kind were begun in an hour since 1970.
CREATE TABLE caps (
    kind TEXT PRIMARY KEY,
    hour INTEGER NOT NULL,
    begun INTEGER NOT NULL
);
