-- What the planner of queries must know of our data, since it never looks at them itself: an investigation or a device
-- has few actions, a state that is not the end has few, a kind has many. Without this it reads a whole kind or state to
-- find the few actions of a device. The numbers are for a large store; a small one is fast anyhow.

ANALYZE;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('actions', 'sqlite_autoindex_actions_1', '1000000 1'),
  ('actions', 'actions_by_time', '1000000 1 1'),
  ('actions', 'actions_by_state', '1000000 1000 1 1'),
  ('actions', 'actions_by_investigation', '1000000 10 1 1'),
  ('actions', 'actions_by_device', '1000000 100 1 1'),
  ('actions', 'actions_by_kind', '1000000 50000 1 1'),
  ('actions', 'actions_by_event', '1000000 1'),
  ('investigations', 'sqlite_autoindex_investigations_1', '100000 1'),
  ('investigations', 'investigations_by_time', '100000 1 1'),
  ('investigations', 'investigations_by_state', '100000 1000 1 1'),
  ('investigations', 'investigations_by_detector', '100000 50000 1 1'),
  ('investigations', 'investigations_by_event', '100000 1');
