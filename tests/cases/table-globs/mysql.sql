CREATE TABLE orders (id int PRIMARY KEY, n varchar(64)) STATS_AUTO_RECALC=0;
INSERT INTO orders SELECT seq, md5(seq) FROM seq_1_to_500;
CREATE TABLE order_lines (id int PRIMARY KEY, n varchar(64)) STATS_AUTO_RECALC=0;
INSERT INTO order_lines SELECT seq, md5(seq) FROM seq_1_to_500;
CREATE TABLE customers (id int PRIMARY KEY, n varchar(64)) STATS_AUTO_RECALC=0;
INSERT INTO customers SELECT seq, md5(seq) FROM seq_1_to_500;
