ALTER TABLE blocked_urls ADD COLUMN hit_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blocked_urls ADD COLUMN last_hit_time INTEGER;
CREATE INDEX blocked_urls_by_time ON blocked_urls (create_time, pattern);
CREATE TABLE clicks (
    id INTEGER PRIMARY KEY,
    click_time INTEGER NOT NULL,
    url TEXT NOT NULL,
    answer TEXT NOT NULL,
    pattern TEXT NOT NULL,
    action TEXT NOT NULL,
    recipient TEXT NOT NULL
) STRICT;
CREATE INDEX clicks_by_time ON clicks (click_time, id);
