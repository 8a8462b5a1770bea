CREATE TABLE orders (id int PRIMARY KEY, n text, note text);
CREATE INDEX orders_n ON orders (n);
INSERT INTO orders SELECT i, md5(i::text), repeat('x', 100) FROM generate_series(1, 40000) AS i;
DELETE FROM orders WHERE id % 10 <> 0;
SELECT pg_stat_force_next_flush();
VACUUM ANALYZE orders;
