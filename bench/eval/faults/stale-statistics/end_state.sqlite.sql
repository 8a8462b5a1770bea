SELECT count(*) = 1 FROM sqlite_stat1 WHERE tbl = 'orders' AND stat LIKE '5000 %';
