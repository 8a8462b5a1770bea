CREATE TABLE orders (id integer PRIMARY KEY, n text);
CREATE INDEX orders_n ON orders (n);
INSERT INTO orders WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 500) SELECT i, hex(i) FROM i;
CREATE TABLE order_lines (id integer PRIMARY KEY, n text);
CREATE INDEX order_lines_n ON order_lines (n);
INSERT INTO order_lines SELECT * FROM orders;
CREATE TABLE customers (id integer PRIMARY KEY, n text);
CREATE INDEX customers_n ON customers (n);
INSERT INTO customers SELECT * FROM orders;
