-- name: measure_old_rows
-- engine: mysql >= 8, mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
--   date_column: {type: identifier}
--   cutoff: {type: scalar, description: rows whose date is before this are old}
--   filters: {type: filters, default: [], description: 'further conditions, all of which must hold: {column, operator, value}'}
--   most: {type: integer, default: 20000, minimum: 0, description: stop counting at this number}
--   key: {type: identifier, description: 'a whole number that is the primary key; any column where there is none'}
--   points: {type: integer, default: 0, minimum: 0, maximum: 900, description: 'so many places along the key are looked at, 0 where there is none'}
-- returns:
--   counted: {from: first(counted.rows), description: 'old rows, at most `most`'}
--   sample: {from: rows(sample), description: 'the dates of rows at even distances along the key'}
-- examples:
--   - params: {schema: shop, table: app_log, date_column: created_at, cutoff: '2026-01-01', key: id, points: 500}
--
-- What tells how many rows of a table are older than a cut-off, in a time that does not depend on its size: old rows counted up
-- to a limit, and the dates of rows at even distances along the primary key. With an index that begins with the date the count
-- reads so many entries of it at most; without one, or with filters, it can read the whole table, so then the limit is to be 0.
-- Each place of the sample is one look-up of an equal key: a key that is not there gives no date, which is right, since
-- where many rows are gone few are left. (The server cannot look up the next key at or behind a place of a CTE: it walks.)

-- counted: as many as the limit allows
SELECT COUNT(*) AS `rows`
  FROM (SELECT 1 FROM {schema}.{table}
         WHERE
               -- include: old_rows
         LIMIT {most}) AS r

-- sample: no row where there is nothing to go by
WITH RECURSIVE place(n) AS (
    SELECT 0 FROM DUAL WHERE :points > 0
    UNION ALL
    SELECT p.n + 1 FROM place AS p WHERE p.n < :points
), ends AS (
    SELECT (SELECT t.{key} FROM {schema}.{table} AS t WHERE :points > 0 ORDER BY t.{key} LIMIT 1) AS first,
           (SELECT t.{key} FROM {schema}.{table} AS t WHERE :points > 0 ORDER BY t.{key} DESC LIMIT 1) AS last
)
SELECT CAST(t.{date_column} AS CHAR) AS date
  FROM (SELECT DISTINCT CAST(e.first + FLOOR((e.last - e.first) / :points * p.n) AS SIGNED) AS at FROM place AS p, ends AS e) AS w
  JOIN {schema}.{table} AS t ON t.{key} = w.at
