CREATE TABLE app_log (id integer PRIMARY KEY, created_at text NOT NULL, level text, message text);
INSERT INTO app_log WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 8000) SELECT i, datetime('now', -(100 * 24 + 8000 - i) || ' hours'), 'info', hex(i) FROM s;
INSERT INTO app_log WITH RECURSIVE s(i) AS (SELECT 8001 UNION ALL SELECT i + 1 FROM s WHERE i < 10000) SELECT i, datetime('now', -(10000 - i) || ' hours'), 'info', hex(i) FROM s;
CREATE INDEX app_log_created_at ON app_log (created_at);
ANALYZE;
