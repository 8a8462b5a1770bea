SELECT last_value, (SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'id') FROM orders_id_seq;
