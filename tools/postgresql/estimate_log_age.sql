-- name: estimate_log_age
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
-- returns:
--   ends: object(ends)
-- examples: [{params: {schema: public, table: app_log, date_column: created_at}}]
--
-- Estimate the oldest and newest date of a table from the sample of the last ANALYZE, without reading the table. For tables
-- without an index on the date. Returns nothing if the table was never analyzed, or if this role may not read its statistics.

-- ends: as text
SELECT b.bounds[1] AS oldest, b.bounds[cardinality(b.bounds)] AS newest
FROM (SELECT CAST(CAST(s.histogram_bounds AS text) AS text[]) AS bounds
      FROM pg_stats AS s
      WHERE s.schemaname = CAST(:schema AS text) AND s.tablename = CAST(:table AS text) AND s.attname = CAST(:date_column AS text)
      ORDER BY s.inherited DESC LIMIT 1) AS b
WHERE b.bounds IS NOT NULL
