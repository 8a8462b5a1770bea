SELECT pg_relation_size('orders') < 1500000;
