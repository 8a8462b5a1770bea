CREATE TABLE orders (id int PRIMARY KEY, n varchar(40), KEY orders_n (n)) STATS_AUTO_RECALC=0;
INSERT INTO orders SELECT seq, md5(seq) FROM seq_1_to_5000;
