SELECT COLUMN_TYPE, (SELECT MAX(id) FROM orders) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '{database}' AND TABLE_NAME = 'orders' AND COLUMN_NAME = 'id';
