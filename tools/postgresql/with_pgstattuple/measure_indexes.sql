-- name: measure_indexes
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
--   min_index_size: {type: integer, default: 1048576, minimum: 0, description: smaller indexes are left out}
-- returns:
--   indexes: rows(indexes)
-- examples: [{params: {tables: [{schema: public, table: orders}]}}]
--
-- Measure the bloat of the indexes of the named tables that rebuild_fragmented_indexes could rebuild. Returns the columns by
-- which a rebuild is planned and checked. Indexes smaller than min_index_size (about 1 MB, 128 pages) are left out, since their
-- figures are noise. Also left out, as there: exclusion constraints, invalid indexes, index types other than btree, indexes of
-- materialized views (REFRESH rebuilds them), and everything on 14.0 to 14.3 (bug 17485). The bloat of a btree index is 1 -
-- avg_leaf_density / fillfactor over its leaf pages, with deleted and empty pages counted as free (pgstatindex): a fresh index
-- has 0 %, random inserts settle around 20 to 25 %. Needs EXECUTE on pgstatindex (pg_stat_scan_tables, which is part of
-- pg_monitor).

-- indexes: one row per index of at least min_index_size, most reclaimable first
WITH
-- include: held,
-- include: indexes_of_tables,
-- include: index_measurement
SELECT r.schema_name AS schema, r.table_name AS "table", r.index_name AS index_name, r.bytes AS bytes,
       round(r.percent::numeric, 1) AS fragmentation,
       CASE WHEN NOT r.held THEN pg_get_indexdef(r.oid) END AS definition, r.oid::text AS oid, r.indrelid::text AS table_oid,
       round(r.percent::numeric, 1) AS fragmentation_percent, r.method AS method,
       r.reclaimable_bytes::bigint AS reclaimable_bytes, r.withheld AS withheld
FROM result AS r
WHERE r.relkind = 'r' AND r.btree AND r.valid AND NOT r.indisexclusion
  AND NOT (current_setting('server_version_num')::int BETWEEN 140000 AND 140003)
  AND r.bytes >= CAST(:min_index_size AS bigint)
ORDER BY r.reclaimable_bytes DESC NULLS LAST, r.index_name
