-- name: count_log_rows
-- engine: postgresql >= 12
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
--   estimated: {from: rows(estimated), description: the planner's plan of a query for these rows}
--   known: {from: first(statistics.known), description: whether the estimate is based on statistics}
-- examples: [{params: {schema: public, table: app_log, date_column: created_at, start: '2026-01-01', finish: '2026-02-01'}}]
--
-- Count the rows of a table between two dates up to a limit, and estimate their number from the planner's statistics. The
-- estimate does not read the table. With an index whose first column is the date, the count reads at most that many entries;
-- without one it may read the whole table, so set the limit to 0 then.

-- counted: rows in the range, up to the limit
SELECT count(*) AS rows
FROM (SELECT 1 FROM {schema}.{table} WHERE {date_column} >= :start AND {date_column} < :finish LIMIT CAST(:most AS bigint)) AS r

-- estimated: what the planner expects
EXPLAIN (FORMAT JSON) SELECT 1 FROM {schema}.{table} WHERE {date_column} >= :start AND {date_column} < :finish

-- statistics: for a column never analyzed, or whose statistics this role may not read, the planner guesses
WITH RECURSIVE tree AS (
  SELECT c.oid, c.relname, n.nspname
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text)
  UNION ALL
  SELECT c.oid, c.relname, n.nspname
  FROM tree AS t JOIN pg_inherits AS i ON i.inhparent = t.oid
  JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
)
SELECT EXISTS (SELECT 1 FROM tree AS t JOIN pg_stats AS s ON s.schemaname = t.nspname AND s.tablename = t.relname
               WHERE s.attname = CAST(:date_column AS text)) AS known
