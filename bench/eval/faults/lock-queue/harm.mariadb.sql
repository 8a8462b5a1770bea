SELECT COUNT(*), SUM(id) FROM orders;
