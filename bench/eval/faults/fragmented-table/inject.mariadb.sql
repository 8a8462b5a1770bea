CREATE TABLE orders (id int PRIMARY KEY, n varchar(64), note varchar(200), KEY orders_n (n)) STATS_AUTO_RECALC=0;
INSERT INTO orders SELECT seq, md5(seq), repeat('x', 100) FROM seq_1_to_20000;
DELETE FROM orders WHERE id % 20 <> 10;
SET GLOBAL innodb_max_purge_lag_wait = 0;
ANALYZE TABLE orders;
