CREATE TABLE orders (id integer PRIMARY KEY, n text, note text);
INSERT INTO orders WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 20000) SELECT i, hex(i), printf('%.100c', 'x') FROM s;
DELETE FROM orders WHERE id > 1000;
ANALYZE;
