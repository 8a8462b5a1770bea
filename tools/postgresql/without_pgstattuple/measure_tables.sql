-- name: measure_tables
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
--   tables: {type: identifier_list, description: 'tables as {schema, table}'}
--   max_bytes: {type: integer, default: 1073741824, minimum: 0, description: 'read at most this much of one table'}
-- returns:
--   tables: rows(tables)
-- examples: [{params: {tables: [{schema: public, table: orders}]}}]
--
-- Estimate the bloat of the named tables, one row each. Estimated from the average row width found by ANALYZE, since the
-- extension pgstattuple is not installed or not usable: right within a few points with fresh statistics, withheld with stale
-- ones (more than 10 % of the rows + 50 changed since) and if the role may not read the statistics. TOAST is not included.
-- `CREATE EXTENSION pgstattuple` makes the figure exact.

-- tables: one row per named table that exists
WITH
-- include: held,
target AS MATERIALIZED (
  -- include: table_columns
         greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed
  FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
  JOIN pg_namespace AS n ON n.nspname = w."schema"
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
  LEFT JOIN pg_am AS am ON am.oid = c.relam
  LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (c.oid, c.reltoastrelid) LIMIT 1) AS h ON true
  WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f')
),
-- include: table_estimate,
-- include: table_estimated
SELECT r.schema_name AS schema, r.relname AS "table",
       CASE WHEN r.withheld IS NULL THEN round((100 * r.reclaimable_bytes / greatest(r.bytes, 1))::numeric,
         1) END AS fragmentation_percent,
       r.method AS method, r.reclaimable_bytes::bigint AS reclaimable_bytes, round(r.error_points::numeric, 1) AS error_points,
       r.withheld AS withheld
FROM result AS r
WHERE CAST(:max_bytes AS bigint) >= 0  -- an estimate reads nothing, whatever the limit
ORDER BY r.reclaimable_bytes DESC NULLS LAST, r.schema_name, r.relname
