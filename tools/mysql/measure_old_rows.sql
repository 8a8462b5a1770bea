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
--   key: {type: identifier, description: 'an integer that is the primary key; any column if there is none'}
--   points: {type: integer, default: 0, minimum: 0, maximum: 900, description: 'number of sampled positions along the key, 0 without such a key'}
-- returns:
--   counted: {from: first(counted.rows), description: 'old rows, at most `most`'}
--   sample: {from: rows(sample), description: 'the dates of rows at even distances along the key'}
-- examples:
--   - params: {schema: shop, table: app_log, date_column: created_at, cutoff: '2026-01-01', key: id, points: 500}
--
-- Measure how many rows of a table are older than a cut-off date, in a time independent of its size. Counts old rows up to a
-- limit and samples the dates of rows at even distances along the primary key. With an index whose first column is the date,
-- the count reads at most that many entries; without one, or with filters, it may read the whole table, so set the limit to 0
-- then. Each sampled position is one look-up of an equal key: a key that does not exist gives no date, which is right, since
-- where many rows are missing few are left. (The server cannot look up the next key at or after a position of a CTE without a
-- scan.)

-- counted: old rows, up to the limit
SELECT COUNT(*) AS `rows`
  FROM (SELECT 1 FROM {schema}.{table}
         WHERE
               -- include: old_rows
         LIMIT {most}) AS r

-- sample: no row if no positions are to be sampled or the table is empty
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
