SELECT age(relfrozenxid) < 60000 FROM pg_class WHERE oid = 'orders'::regclass;
