-- name: analyze_index_fragmentation
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
--   indexes: rows(indexes)
-- examples: [{params: {schema: public, table: orders}}]
--
-- Measure the bloat of each index of one table. Reads only. Indexes other than btree have no figure, and say so; below about 1
-- MB a figure means little. The bloat of a btree index is 1 - avg_leaf_density / fillfactor over its leaf pages, with deleted
-- and empty pages counted as free (pgstatindex): a fresh index has 0 %, random inserts settle around 20 to 25 %. Needs EXECUTE
-- on pgstatindex (pg_stat_scan_tables, which is part of pg_monitor).

-- indexes: one row per index, most reclaimable first
WITH
-- include: held,
-- include: index_of_table,
result AS (
  -- pgstatindex is strict: given NULL it does not run. Pages without entries (deleted, empty) count as free, like the free part
  -- of the others.
  SELECT t.*, t.pages * current_setting('block_size')::bigint AS bytes, no.reason AS withheld,
         CASE WHEN no.reason IS NULL THEN coalesce(used.percent, 0) END AS percent,
         CASE WHEN no.reason IS NULL THEN 'pgstatindex' END AS method,
         CASE WHEN no.reason IS NULL THEN coalesce(used.pages * current_setting('block_size')::bigint * used.percent / 100,
           0) END AS reclaimable_bytes
  FROM target AS t
  CROSS JOIN LATERAL (SELECT CASE WHEN NOT t.btree THEN 'no way to measure a ' || t.amname || ' index'
                                  WHEN t.held THEN 'locked by another session'
                                  WHEN NOT t.valid THEN 'the index is invalid' END AS reason) AS no
  CROSS JOIN LATERAL pgstatindex(CAST(CASE WHEN no.reason IS NULL AND true THEN t.oid END AS regclass)) AS s
  CROSS JOIN LATERAL (SELECT s.leaf_pages + s.empty_pages + s.deleted_pages AS pages) AS level
  CROSS JOIN LATERAL (
    SELECT level.pages, greatest(0, 100 * (1 - s.leaf_pages * coalesce(nullif(s.avg_leaf_density, 'NaN'), 0) / t.fillfactor
                                               / nullif(level.pages, 0))) AS percent
  ) AS used
)
SELECT r.index_name AS "index", round(r.percent::numeric, 1) AS fragmentation_percent, r.method AS method, r.bytes AS bytes,
       r.reclaimable_bytes::bigint AS reclaimable_bytes, r.withheld AS withheld
FROM result AS r
ORDER BY r.reclaimable_bytes DESC NULLS LAST, r.index_name
