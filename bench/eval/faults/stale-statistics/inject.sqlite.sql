CREATE TABLE orders (id integer PRIMARY KEY, n text);
CREATE INDEX orders_n ON orders (n);
INSERT INTO orders WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 5000) SELECT i, hex(i) FROM s;
