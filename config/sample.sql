-- A small shop whose database has not been looked after: the sample that `make run` and `aishell init` work on.
-- Run by aishell.sample. The same rows on every machine (no random()); dates count back from the day it is made.
--
-- What is wrong with it, on purpose:
--   free pages          about 40 % of the file: a staging table was emptied
--   half-empty pages    every other line, order and log row was deleted
--   worn indexes        filled in random order, then halved
--   stale statistics    ANALYZE ran before most rows came, some went again, and never on reviews
--   redundant index     customers_city is the beginning of customers_city_name
--   no primary key      stock_movements
--   old rows            audit_log reaches two years back

PRAGMA page_size = 4096;
PRAGMA auto_vacuum = NONE;
PRAGMA application_id = 1634300787; -- "aiss": how aishell.sample knows its own file

BEGIN;

CREATE TEMP TABLE made AS SELECT date('now') AS day;

CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    city TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX customers_city ON customers (city);
CREATE INDEX customers_city_name ON customers (city, name);

CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    sku TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    price_cents INTEGER NOT NULL CHECK (price_cents > 0)
);

CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    reference TEXT NOT NULL,
    status TEXT NOT NULL,
    ordered_at TEXT NOT NULL
);
CREATE INDEX orders_customer ON orders (customer_id);
CREATE UNIQUE INDEX orders_reference ON orders (reference);

CREATE TABLE order_lines (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    line INTEGER NOT NULL,
    product_id INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL,
    note TEXT,
    PRIMARY KEY (order_id, line)
);
CREATE INDEX order_lines_product ON order_lines (product_id);

CREATE TABLE reviews (
    id INTEGER PRIMARY KEY,
    product_id INTEGER NOT NULL REFERENCES products (id),
    stars INTEGER NOT NULL,
    body TEXT NOT NULL
);

CREATE TABLE stock_movements (product_id INTEGER, change INTEGER, reason TEXT, moved_at TEXT);

CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY,
    logged_at TEXT NOT NULL,
    actor TEXT NOT NULL,
    request TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX audit_log_logged_at ON audit_log (logged_at);
CREATE INDEX audit_log_request ON audit_log (request);

CREATE TABLE import_staging (id INTEGER PRIMARY KEY, line TEXT NOT NULL);

CREATE VIEW revenue AS
SELECT o.customer_id, sum(l.quantity * p.price_cents) AS cents
  FROM orders AS o
  JOIN order_lines AS l ON l.order_id = o.id
  JOIN products AS p ON p.id = l.product_id
 GROUP BY o.customer_id;

-- (n * 2654435761) % 4294967296 is Knuth's multiplicative hash: numbers in an order that looks random, each once.

WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 8000)
INSERT INTO customers
SELECT n,
       printf('customer%05d@example.org', (n * 7919) % 8009),
       printf('Customer %05d', (n * 104729) % 8009),
       substr('Aachen  Berlin  Bremen  DresdenEssen   Hamburg Koeln   LeipzigMunich  Potsdam ', 1 + 8 * ((n * 31) % 10), 7),
       datetime((SELECT day FROM made), printf('-%d minutes', (n * 2654435761) % 2000000))
  FROM n;

WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
INSERT INTO products
SELECT n, printf('SKU-%06d', (n * 7919) % 1009), printf('Product number %d', n), 199 + (n * 2654435761) % 20000
  FROM n;

WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2000)
INSERT INTO orders
SELECT n, 1 + (n * 2654435761) % 8000, printf('%08X-%04d', (n * 2654435761) % 4294967296, n % 10000), 'shipped',
       datetime((SELECT day FROM made), printf('-%d minutes', 1050000 - n * 30))
  FROM n;

WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2000)
INSERT INTO audit_log
SELECT n, datetime((SELECT day FROM made), printf('-%d minutes', 1051200 - n * 17)), printf('user%03d', n % 400),
       printf('%08x%08x%08x', (n * 2654435761) % 4294967296, n * n, n * 104729),
       'signed in from 192.0.2.' || (n % 250)
  FROM n;

-- The statistics there are. Everything below comes after them.
ANALYZE;

WITH RECURSIVE n (n) AS (SELECT 2001 UNION ALL SELECT n + 1 FROM n WHERE n < 34000)
INSERT INTO orders
SELECT n, 1 + (n * 2654435761) % 8000, printf('%08X-%04d', (n * 2654435761) % 4294967296, n % 10000),
       CASE n % 5 WHEN 0 THEN 'cancelled' WHEN 1 THEN 'returned' ELSE 'shipped' END,
       datetime((SELECT day FROM made), printf('-%d minutes', 1050000 - n * 30))
  FROM n;

WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 68000)
INSERT INTO order_lines
SELECT 1 + n / 2, n % 2, 1 + (n * 2654435761) % 1000, 1 + n % 7,
       CASE WHEN n % 3 = 0 THEN 'gift wrapping, card: "Many happy returns, number ' || n || '"' END
  FROM n
 WHERE n / 2 < 34000;

WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
INSERT INTO reviews
SELECT n, 1 + (n * 2654435761) % 1000, 1 + n % 5, substr('Works as described, arrived on time, would buy again. ', 1, 10 + n % 40)
  FROM n;

WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 6000)
INSERT INTO stock_movements
SELECT 1 + (n * 2654435761) % 1000, n % 41 - 20, CASE WHEN n % 2 THEN 'sale' ELSE 'delivery' END,
       datetime((SELECT day FROM made), printf('-%d minutes', n * 90))
  FROM n;

WITH RECURSIVE n (n) AS (SELECT 2001 UNION ALL SELECT n + 1 FROM n WHERE n < 60000)
INSERT INTO audit_log
SELECT n, datetime((SELECT day FROM made), printf('-%d minutes', 1051200 - n * 17)), printf('user%03d', n % 400),
       printf('%08x%08x%08x', (n * 2654435761) % 4294967296, n * n, n * 104729),
       printf('GET /orders/%d 200 in %d ms; agent=Mozilla/5.0 (X11; Linux x86_64) referer=https://shop.example.org/p/%d',
              n % 34000, n % 977, n % 1000)
  FROM n;

WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 92000)
INSERT INTO import_staging
SELECT n, printf('%08d;SKU-%06d;%08X;delivered by the wholesaler, not checked yet, price on request, line %d of the file;',
                 n, n % 1009, (n * 2654435761) % 4294967296, n) || substr('................................................', 1, n % 48)
  FROM n;

COMMIT;

BEGIN;

-- What wears it out: a table emptied at one go, every other row of others taken here and there.
DELETE FROM import_staging;
DELETE FROM order_lines WHERE order_id % 2 = 0;
DELETE FROM orders WHERE id % 2 = 0;
DELETE FROM audit_log WHERE id % 2 = 0;
UPDATE customers SET name = 'Deleted' WHERE id % 3 = 0;

COMMIT;
