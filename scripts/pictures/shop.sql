-- The shop of the pictures, before it is maintained: most orders were deleted, and customers were changed.
-- `shop.orders` says how many orders there were; the role `maintenance` is there.

CREATE TABLE customers (id int PRIMARY KEY, email text NOT NULL UNIQUE, city text);
CREATE TABLE orders (
    id int PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customers,
    reference text NOT NULL,
    note text
);
INSERT INTO customers SELECT n, n || '@example.org', 'Leipzig' FROM generate_series(1, 20000) AS n;
INSERT INTO orders
SELECT n, 1 + n % 20000, md5(n::text), repeat('x', 100) FROM generate_series(1, current_setting('shop.orders')::int) AS n;
CREATE INDEX orders_reference ON orders (reference);

-- Worn indexes here, dead rows there.
DELETE FROM orders WHERE id % 10 < 6;
SELECT pg_stat_force_next_flush();
VACUUM ANALYZE;
UPDATE customers SET city = 'Berlin' WHERE id % 3 = 0;

-- An index that is used.
SET enable_seqscan = off;
SELECT count(*) FROM orders WHERE reference = md5('7');

GRANT pg_maintain, pg_monitor, pg_read_all_data TO maintenance;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO maintenance;
