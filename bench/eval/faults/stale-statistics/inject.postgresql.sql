CREATE TABLE orders (id int PRIMARY KEY, n text);
INSERT INTO orders SELECT i, md5(i::text) FROM generate_series(1, 5000) AS i;
