SELECT count(*), sum(id) FROM orders;
