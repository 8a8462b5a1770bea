-- name: count_log_rows
-- engine: sqlite >= 3.35
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 30
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   date_column: {type: identifier}
--   start: {type: scalar, description: the start of the range (inclusive)}
--   finish: {type: scalar, description: the end of the range (exclusive)}
--   most: {type: integer, default: 10000, minimum: 0, description: stop counting at this number}
-- returns:
--   counted: {from: first(counted.rows), description: 'rows, at most `most`'}
-- examples: [{params: {schema: main, table: app_log, date_column: created_at, start: '2026-01-01', finish: '2026-02-01'}}]
--
-- Count the rows of a table between two dates, up to a limit. With an index whose first column is the date, at most that many
-- entries of it are read; without one the whole table may be read, so set the limit to 0 then.

-- counted: rows in the range, up to the limit
SELECT count(*) AS rows
FROM (SELECT 1 FROM {schema}.{table} WHERE {date_column} >= :start AND {date_column} < :finish LIMIT :most)
