-- When an action ceased to answer for anything: it is forgotten some time after that.
ALTER TABLE warrants ADD COLUMN over_time INTEGER NOT NULL DEFAULT 0;
