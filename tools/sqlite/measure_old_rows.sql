-- name: measure_old_rows
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
--   date_column: {type: identifier}
--   cutoff: {type: scalar, description: rows whose date is before this are old}
--   filters: {type: filters, default: [], description: 'further conditions, all of them: {column, operator, value}'}
--   most: {type: integer, default: 1000000, minimum: 0, description: count no further than this}
--   key: {type: identifier, description: 'the row id; any column where there is none'}
--   points: {type: integer, default: 0, minimum: 0, maximum: 10000, description: 'so many places along the key are looked at, 0 where there is none'}
-- returns:
--   counted: {from: first(counted.rows), description: 'old rows, at most `most`'}
--   sample: {from: rows(sample), description: 'the dates of rows at even distances along the key'}
-- examples:
--   - params: {schema: main, table: app_log, date_column: created_at, cutoff: '2026-01-01', key: id, points: 500}
--
-- What tells how many rows of a table are older than a cut-off, in a time that does not depend on its size: old rows counted up
-- to a limit, and the dates of rows at even distances along the row ids. With an index that begins with the date the count
-- reads so many entries of it at most; without one, or with filters, it can read the whole table, so then the limit is to be 0.

-- counted: as many as the limit allows
SELECT count(*) AS rows
  FROM (SELECT 1 FROM {schema}.{table}
         WHERE
               -- include: old_rows
         LIMIT :most)

-- sample: no row where there is nothing to go by
WITH RECURSIVE ends AS (
    SELECT (SELECT t.{key} FROM {schema}.{table} AS t WHERE :points > 0 ORDER BY t.{key} LIMIT 1) AS first,
           (SELECT t.{key} FROM {schema}.{table} AS t WHERE :points > 0 ORDER BY t.{key} DESC LIMIT 1) AS last
), place(n, at) AS (
    SELECT 0, first FROM ends WHERE first IS NOT NULL
    UNION ALL
    SELECT p.n + 1, e.first + CAST((e.last - e.first) * 1.0 / :points * (p.n + 1) AS INTEGER)
      FROM place AS p, ends AS e WHERE p.n < :points AND e.last > e.first
)
SELECT (SELECT CAST(t.{date_column} AS TEXT) FROM {schema}.{table} AS t WHERE t.{key} >= p.at ORDER BY t.{key} LIMIT 1) AS date
  FROM place AS p
