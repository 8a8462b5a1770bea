SELECT count(*), sum(id), (SELECT reloptions FROM pg_class WHERE oid = 'orders'::regclass) FROM orders;
