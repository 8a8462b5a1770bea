-- name: measure_tables
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
--   tables: {type: identifier_list, description: 'tables as {schema, table}'}
--   max_bytes: {type: integer, default: 1073741824, minimum: 0, description: 'read at most this much of one table'}
-- returns:
--   tables: rows(tables)
-- examples: [{params: {tables: [{schema: public, table: orders}]}}]
--
-- Measure the bloat of the named tables, one row each. Bloat is 100 * (1 - (100 - free_percent - dead_tuple_percent) /
-- fillfactor), TOAST included at fillfactor 100: what a rewrite would return to the file system. A table of up to max_bytes is
-- read completely (pgstattuple); of a larger one only the pages that are not all-visible (pgstattuple_approx), if those are
-- within max_bytes; else it is estimated from statistics. Needs EXECUTE on pgstattuple's functions (pg_stat_scan_tables, which
-- is part of pg_monitor), and SELECT for the fallback estimate.

-- tables: one row per named table that exists
WITH
-- include: held,
target AS MATERIALIZED (
  -- include: table_columns
         greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed,
         CASE WHEN h.relation IS NULL THEN nullif(c.reltoastrelid, 0) END AS toast, c.relallvisible
  FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
  JOIN pg_namespace AS n ON n.nspname = w."schema"
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
  LEFT JOIN pg_am AS am ON am.oid = c.relam
  LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (c.oid, c.reltoastrelid) LIMIT 1) AS h ON true
  WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f')
),
-- include: table_estimate,
plan AS MATERIALIZED (
  -- What to read: the whole table if it is small enough, only its pages that are not all-visible if those are few enough.
  SELECT e.*, e.pages * current_setting('block_size')::bigint AS heap_bytes, size.toast AS toast_bytes,
         CASE WHEN NOT e.stored OR e.held OR e.amname <> 'heap' THEN 'nothing'
              WHEN e.pages * current_setting('block_size')::bigint + size.toast <= CAST(:max_bytes AS bigint) THEN 'exact'
              WHEN (e.pages - e.relallvisible) * current_setting('block_size')::bigint <= CAST(:max_bytes AS bigint)
                THEN 'approximate'
              ELSE 'estimate' END AS way
  FROM estimate AS e
  CROSS JOIN LATERAL (SELECT coalesce(pg_relation_size(e.toast), 0) AS toast) AS size
),
-- include: table_measurement
SELECT r.schema_name AS schema, r.relname AS "table",
       CASE WHEN r.withheld IS NULL THEN round((100 * r.reclaimable_bytes / greatest(r.bytes, 1))::numeric,
         1) END AS fragmentation_percent,
       r.method AS method, r.reclaimable_bytes::bigint AS reclaimable_bytes, round(r.error_points::numeric, 1) AS error_points,
       r.withheld AS withheld
FROM result AS r
ORDER BY r.reclaimable_bytes DESC NULLS LAST, r.schema_name, r.relname
