CREATE TABLE kept (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    action TEXT NOT NULL,
    "key" TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    item BLOB NOT NULL,
    contents TEXT NOT NULL,
    before BLOB NOT NULL,
    state TEXT NOT NULL,
    take_time INTEGER NOT NULL,
    purge_time INTEGER NOT NULL,
    end_time INTEGER
) STRICT;
CREATE INDEX kept_by_key ON kept (kind, "key");
CREATE INDEX kept_by_state ON kept (state, purge_time);
CREATE INDEX kept_by_purge ON kept (purge_time, id);
CREATE INDEX kept_by_take ON kept (take_time, id);
