-- name: count_log_rows
-- engine: mysql >= 8, mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 30
-- idempotent: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
--   date_column: {type: identifier}
--   start: {type: scalar, description: the start of the range (inclusive)}
--   finish: {type: scalar, description: the end of the range (exclusive)}
--   most: {type: integer, default: 10000, minimum: 0, description: stop counting at this number}
-- returns:
--   counted: {from: first(counted.rows), description: 'rows, at most `most`'}
--   estimated: {from: rows(estimated), description: the optimizer's plan of a query for these rows}
-- examples: [{params: {schema: shop, table: app_log, date_column: created_at, start: '2026-01-01', finish: '2026-02-01'}}]
--
-- Count the rows of a table between two dates up to a limit, and let the optimizer estimate their number. The estimate takes
-- two index dives. With an index whose first column is the date, the count reads at most as many entries as the limit; without
-- one it may read the whole table, so set the limit to 0 then, and there is no estimate.

-- counted: rows in the range, up to the limit
SELECT COUNT(*) AS `rows`
  FROM (SELECT 1 FROM {schema}.{table} WHERE {date_column} >= :start AND {date_column} < :finish LIMIT {most}) AS r

-- estimated: what the optimizer expects
EXPLAIN SELECT 1 FROM {schema}.{table} WHERE {date_column} >= :start AND {date_column} < :finish
