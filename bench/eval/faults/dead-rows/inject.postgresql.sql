CREATE TABLE orders (id int PRIMARY KEY, n text) WITH (autovacuum_enabled = off);
INSERT INTO orders SELECT i, md5(i::text) FROM generate_series(1, 20000) AS i;
SELECT pg_stat_force_next_flush();
VACUUM ANALYZE orders;
DELETE FROM orders WHERE id % 2 = 0;
