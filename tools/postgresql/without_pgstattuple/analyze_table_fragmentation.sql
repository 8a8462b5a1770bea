-- name: analyze_table_fragmentation
-- engine: postgresql >= 12 without pgstattuple
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: ACCESS SHARE
-- max_execution_time: 600
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
-- returns:
--   fragmentation_percent: {from: first(fragmentation.fragmentation_percent), type: [number, 'null']}
--   method: first(fragmentation.method)
--   recommendation: first(fragmentation.recommendation)
--   estimated_benefit: {from: first(fragmentation.estimated_benefit), type: [integer, 'null'], description: bytes that a rewrite would return}
--   error_points: first(fragmentation.error_points)
--   table_stats: object(statistics)
--   withheld: first(fragmentation.withheld)
-- examples: [{params: {schema: public, table: orders}}]
--
-- Estimate the bloat of one table, partition or materialized view, and recommend what to do. Reads only; the application is
-- affected by the I/O alone. Estimated from the average row width found by ANALYZE, since the extension pgstattuple is not
-- installed or not usable: right within a few points with fresh statistics, withheld with stale ones (more than 10 % of the
-- rows + 50 changed since) and if the role may not read the statistics. TOAST is not included. `CREATE EXTENSION pgstattuple`
-- makes the figure exact.

-- fragmentation: the figure and how it was obtained, or why there is none
WITH
-- include: held,
target AS MATERIALIZED (
  -- include: table_columns
         greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed
  FROM pg_namespace AS n
  JOIN pg_class AS c ON c.relnamespace = n.oid
  LEFT JOIN pg_am AS am ON am.oid = c.relam
  LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (c.oid, c.reltoastrelid) LIMIT 1) AS h ON true
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text) AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
),
-- include: table_estimate,
-- include: table_estimated,
-- include: table_recommendation

-- statistics: size, rows and the age of the statistics
WITH
-- include: held
-- include: table_statistics
