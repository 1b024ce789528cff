CREATE TABLE blocked_urls (
    pattern TEXT PRIMARY KEY,
    action TEXT NOT NULL,
    create_time INTEGER NOT NULL
) STRICT;
