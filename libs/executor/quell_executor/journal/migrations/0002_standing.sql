-- What is taken back unless the centre acknowledges its receipt before.
CREATE TABLE dead_men (
    action TEXT PRIMARY KEY,
    time INTEGER NOT NULL,
    begun INTEGER NOT NULL
);

ALTER TABLE reverts ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;

-- What only the marks of an effect tell of, since the journal that knew it was lost.
ALTER TABLE owners ADD COLUMN inherited INTEGER NOT NULL DEFAULT 0;
CREATE INDEX owners_inherited ON owners ("key") WHERE inherited > 0;
