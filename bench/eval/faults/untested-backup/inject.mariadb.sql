CREATE TABLE orders (id int PRIMARY KEY, n varchar(40));
INSERT INTO orders SELECT seq, md5(seq) FROM seq_1_to_1000;
ANALYZE TABLE orders;
