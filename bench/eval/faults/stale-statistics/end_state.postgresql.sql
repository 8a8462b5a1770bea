SELECT count(*) = 2 AND (SELECT reltuples = 5000 FROM pg_class WHERE oid = 'orders'::regclass)
FROM pg_stats WHERE tablename = 'orders';
