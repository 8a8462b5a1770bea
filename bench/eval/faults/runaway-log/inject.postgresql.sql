CREATE TABLE app_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, created_at timestamptz NOT NULL, level text, message text);
INSERT INTO app_log (created_at, level, message) SELECT now() - interval '1 day' * (100 + (8000 - i) / 40.0), 'info', md5(i::text) FROM generate_series(1, 8000) AS i;
INSERT INTO app_log (created_at, level, message) SELECT now() - interval '1 day' * (2000 - i) / 25.0, 'info', md5(i::text) FROM generate_series(1, 2000) AS i;
CREATE INDEX app_log_created_at ON app_log (created_at);
SELECT pg_stat_force_next_flush();
ANALYZE app_log;
