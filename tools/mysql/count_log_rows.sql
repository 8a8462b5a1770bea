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
--   estimated: {from: rows(estimated), description: the plan of a query for them}
-- examples: [{params: {schema: shop, table: app_log, date_column: created_at, start: '2026-01-01', finish: '2026-02-01'}}]
--
-- How many rows a table has between two dates: counted up to a limit, and estimated by the optimizer, which dives into the index
-- at both ends. With an index that begins with the column the count reads so many entries of it at most; without one it can read
-- the whole table, so then the limit is to be 0, and there is no estimate.

-- counted: as many as the limit allows
SELECT COUNT(*) AS `rows`
  FROM (SELECT 1 FROM {schema}.{table} WHERE {date_column} >= :start AND {date_column} < :finish LIMIT {most}) AS r

-- estimated: what the optimizer expects
EXPLAIN SELECT 1 FROM {schema}.{table} WHERE {date_column} >= :start AND {date_column} < :finish
