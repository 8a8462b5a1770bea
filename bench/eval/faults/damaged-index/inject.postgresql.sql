CREATE TABLE orders (id int PRIMARY KEY, n text);
CREATE INDEX orders_n ON orders (n);
INSERT INTO orders SELECT i, md5(i::text) FROM generate_series(1, 5000) AS i;
UPDATE pg_index SET indisready = false WHERE indexrelid = 'orders_n'::regclass;
INSERT INTO orders SELECT i, 'lost ' || i FROM generate_series(5001, 5100) AS i;
UPDATE pg_index SET indisready = true WHERE indexrelid = 'orders_n'::regclass;
SELECT pg_stat_force_next_flush();
ANALYZE orders;
