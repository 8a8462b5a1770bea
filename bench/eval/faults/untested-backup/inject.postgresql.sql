CREATE TABLE orders (id int PRIMARY KEY, n text);
INSERT INTO orders SELECT i, md5(i::text) FROM generate_series(1, 1000) AS i;
SELECT pg_stat_force_next_flush();
ANALYZE orders;
