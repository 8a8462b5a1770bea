CREATE TABLE orders (id integer PRIMARY KEY, n text);
INSERT INTO orders WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 1000) SELECT i, hex(i) FROM s;
ANALYZE;
CREATE INDEX orders_n ON orders (n);
CREATE INDEX orders_by_n ON orders (n);
