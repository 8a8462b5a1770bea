-- name: sample_log_order
-- engine: sqlite >= 3.35
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   date_column: {type: identifier, description: 'the date, which an index begins with'}
--   key: {type: identifier, description: the rowid}
-- returns:
--   in_order: {from: first(order.in_order), description: 'fraction of the sampled rows that are not older than the one before'}
--   same_date: {from: first(order.same_date), description: 'the largest number of rows found with one date, at most 1001'}
-- examples: [{params: {schema: main, table: app_log, date_column: created_at, key: id}}]
--
-- Sample whether a table is stored in date order. Reads 100 rows at even distances along the rowids, and counts how many rows
-- share the date of each. In a table stored in date order, reading along the index visits every page once, in sequence, and
-- never those after the cut-off. Some hundred look-ups whatever the table's size. NULL if the table is empty.

-- order: 1 means in date order, 0.5 in no order
WITH RECURSIVE ends AS (
    SELECT (SELECT t.{key} FROM {schema}.{table} AS t ORDER BY t.{key} LIMIT 1) AS first,
           (SELECT t.{key} FROM {schema}.{table} AS t ORDER BY t.{key} DESC LIMIT 1) AS last
), place(n, at) AS (
    SELECT 0, first FROM ends WHERE first IS NOT NULL
    UNION ALL
    SELECT p.n + 1, e.first + (e.last - e.first) / 100 * (p.n + 1) FROM place AS p, ends AS e WHERE p.n < 99
), picked AS MATERIALIZED (
    SELECT p.n, (SELECT t.{date_column} FROM {schema}.{table} AS t WHERE t.{key} >= p.at ORDER BY t.{key} LIMIT 1) AS date
      FROM place AS p
)
SELECT avg(c.date >= c.earlier) AS in_order, max(c.same) AS same_date
  FROM (SELECT k.date, lag(k.date) OVER (ORDER BY k.n) AS earlier,
               (SELECT count(*) FROM (SELECT 1 FROM {schema}.{table} AS t WHERE t.{date_column} = k.date LIMIT 1001)) AS same
          FROM picked AS k WHERE k.date IS NOT NULL) AS c
