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
--   filters: {type: filters, default: [], description: 'further conditions, all of which must hold: {column, operator, value}'}
--   most: {type: integer, default: 1000000, minimum: 0, description: stop counting at this number}
--   key: {type: identifier, description: 'the rowid; any column if there is none'}
--   points: {type: integer, default: 0, minimum: 0, maximum: 10000, description: 'number of sampled positions along the key, 0 without a rowid'}
-- returns:
--   counted: {from: first(counted.rows), description: 'old rows, at most `most`'}
--   sample: {from: rows(sample), description: 'the dates of rows at even distances along the key'}
-- examples:
--   - params: {schema: main, table: app_log, date_column: created_at, cutoff: '2026-01-01', key: id, points: 500}
--
-- Measure how many rows of a table are older than a cut-off date, in a time independent of its size. Counts old rows up to a
-- limit and samples the dates of rows at even distances along the rowids. With an index whose first column is the date, the
-- count reads at most that many entries; without one, or with filters, it may read the whole table, so set the limit to 0 then.

-- counted: old rows, up to the limit
SELECT count(*) AS rows
  FROM (SELECT 1 FROM {schema}.{table}
         WHERE
               -- include: old_rows
         LIMIT :most)

-- sample: no row if no positions are to be sampled or the table is empty
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
