SELECT count(*), sum(id), md5(string_agg(n, ',' ORDER BY id)) FROM orders;
