CREATE TABLE app_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, created_at timestamptz NOT NULL, message text);
INSERT INTO app_log (created_at, message) SELECT now() - interval '1 minute' * (20000 - i), md5(i::text) FROM generate_series(1, 20000) AS i;
CREATE INDEX app_log_created_at ON app_log (created_at);
SELECT pg_stat_force_next_flush();
ANALYZE app_log;
