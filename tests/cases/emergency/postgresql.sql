CREATE TABLE orders (id int PRIMARY KEY, n text);
INSERT INTO orders SELECT i, md5(i::text) FROM generate_series(1, 500) AS i;
CREATE TABLE order_lines (id int PRIMARY KEY, n text);
INSERT INTO order_lines SELECT i, md5(i::text) FROM generate_series(1, 500) AS i;
CREATE TABLE customers (id int PRIMARY KEY, n text);
INSERT INTO customers SELECT i, md5(i::text) FROM generate_series(1, 500) AS i;
