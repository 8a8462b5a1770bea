CREATE TABLE readings (at timestamptz, value int);
INSERT INTO readings SELECT now(), i FROM generate_series(1, 1000) AS i;
SELECT pg_stat_force_next_flush();
ANALYZE readings;
