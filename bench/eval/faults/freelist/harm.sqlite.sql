SELECT count(*), sum(id), group_concat(n) FROM orders;
