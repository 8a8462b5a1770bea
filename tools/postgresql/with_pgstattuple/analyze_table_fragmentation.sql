-- name: analyze_table_fragmentation
-- engine: postgresql >= 12 with pgstattuple
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
-- Measure the bloat of one table, partition or materialized view, and recommend what to do. Reads only; the application is
-- affected by the I/O alone. Bloat is 100 * (1 - (100 - free_percent - dead_tuple_percent) / fillfactor), TOAST included at
-- fillfactor 100: what a rewrite would return to the file system. A table of up to 10 GiB is read completely (pgstattuple); of
-- a larger one only the pages that are not all-visible (pgstattuple_approx), if those are within 10 GiB; else it is estimated
-- from statistics. Needs EXECUTE on pgstattuple's functions (pg_stat_scan_tables, which is part of pg_monitor), and SELECT for
-- the fallback estimate.

-- fragmentation: the figure and how it was obtained, or why there is none
WITH
-- include: held,
target AS MATERIALIZED (
  -- include: table_columns
         greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed,
         CASE WHEN h.relation IS NULL THEN nullif(c.reltoastrelid, 0) END AS toast, c.relallvisible
  FROM pg_namespace AS n
  JOIN pg_class AS c ON c.relnamespace = n.oid
  LEFT JOIN pg_am AS am ON am.oid = c.relam
  LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (c.oid, c.reltoastrelid) LIMIT 1) AS h ON true
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text) AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
),
-- include: table_estimate,
plan AS MATERIALIZED (
  -- What to read: the whole table if it is small enough, only its pages that are not all-visible if those are few enough.
  SELECT e.*, e.pages * current_setting('block_size')::bigint AS heap_bytes, size.toast AS toast_bytes,
         CASE WHEN NOT e.stored OR e.held OR e.amname <> 'heap' THEN 'nothing'
              WHEN e.pages * current_setting('block_size')::bigint + size.toast <= 10737418240 THEN 'exact'
              WHEN (e.pages - e.relallvisible) * current_setting('block_size')::bigint <= 10737418240 THEN 'approximate'
              ELSE 'estimate' END AS way
  FROM estimate AS e
  CROSS JOIN LATERAL (SELECT coalesce(pg_relation_size(e.toast), 0) AS toast) AS size
),
-- include: table_measurement,
-- include: table_recommendation

-- statistics: size, rows and the age of the statistics
WITH
-- include: held
-- include: table_statistics
