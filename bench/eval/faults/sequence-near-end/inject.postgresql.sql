CREATE TABLE orders (id serial PRIMARY KEY, n text);
SELECT setval('orders_id_seq', 2100000000);
INSERT INTO orders (n) SELECT md5(i::text) FROM generate_series(1, 100) AS i;
SELECT pg_stat_force_next_flush();
ANALYZE orders;
