-- name: analyze_index_fragmentation
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
--   indexes: rows(indexes)
-- examples: [{params: {schema: public, table: orders}}]
--
-- Estimate the bloat of each index of one table. Reads only. Indexes other than btree have no figure, and say so; below about 1
-- MB a figure means little. Estimated from the average key width found by ANALYZE, since pgstattuple is not installed or not
-- usable. Withheld if statistics are stale, or if equal keys share entries (deduplication, version 13 on) and it is not known
-- how often they repeat. `CREATE EXTENSION pgstattuple` makes the figures exact.

-- indexes: one row per index, most reclaimable first
WITH
-- include: held,
-- include: index_of_table,
-- include: index_estimate
SELECT r.index_name AS "index", round(r.percent::numeric, 1) AS fragmentation_percent, r.method AS method, r.bytes AS bytes,
       r.reclaimable_bytes::bigint AS reclaimable_bytes, r.withheld AS withheld
FROM result AS r
ORDER BY r.reclaimable_bytes DESC NULLS LAST, r.index_name
