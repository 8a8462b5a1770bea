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
-- Measures the indexes of the named tables that rebuild_fragmented_indexes could rebuild, with the columns that a rebuild is
-- planned and checked by. Smaller indexes than min_index_size (about 1 MB, 128 pages) are not worth a look: their figures are
-- noise. Left out like there: exclusion constraints, invalid indexes, other access methods than btree, indexes of materialized
-- views (REFRESH rebuilds them), and everything on 14.0 to 14.3 (bug 17485). Bloat of a btree index is 1 - avg_leaf_density /
-- fillfactor over its leaf pages, with deleted and empty pages counted as free (pgstatindex): a fresh index has 0 %, random
-- inserts settle around 20 to 25 %. Needs EXECUTE on pgstatindex (pg_stat_scan_tables, a part of pg_monitor).

-- indexes: one row per index of at least min_index_size, most reclaimable first
WITH held AS MATERIALIZED (
  -- Relations that another session has locked against reading, or is about to: a size function would queue there.
  SELECT DISTINCT l.relation FROM pg_locks AS l
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
), target AS MATERIALIZED (
  SELECT x.oid, i.indrelid, n.nspname AS schema_name, c.relname AS table_name, x.relname AS index_name,
         CASE WHEN h.relation IS NULL THEN pg_relation_size(x.oid) / current_setting('block_size')::int
           ELSE x.relpages END AS pages,
         greatest(x.reltuples, 0) AS reltuples, am.amname, am.amname = 'btree' AS btree,
         coalesce(substring(array_to_string(x.reloptions, ',') FROM 'fillfactor=([0-9]+)')::int, 90) AS fillfactor,
         h.relation IS NOT NULL AS held,
         i.indisvalid AND i.indisready AND i.indislive AS valid, i.indisunique, i.indisexclusion,
         i.indpred IS NOT NULL AS partial,
         i.indnkeyatts, i.indnatts, i.indkey, i.indclass,
         coalesce(substring(array_to_string(x.reloptions, ',') FROM 'deduplicate_items=(\w+)'), 'on') AS deduplicate,
         c.relkind, c.reltuples AS table_rows,
         pg_stat_get_mod_since_analyze(c.oid) AS modified,
         greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed
  FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
  JOIN pg_namespace AS n ON n.nspname = w."schema"
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
  JOIN pg_index AS i ON i.indrelid = c.oid
  JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
  JOIN pg_am AS am ON am.oid = x.relam
  LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (x.oid, c.oid) LIMIT 1) AS h ON true
  WHERE c.relkind IN ('r', 'm')
    AND NOT (x.relpersistence = 'u' AND pg_is_in_recovery())  -- unlogged tables are empty on a standby
),
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
  CROSS JOIN LATERAL pgstatindex(CAST(CASE WHEN no.reason IS NULL
    AND t.pages * current_setting('block_size')::bigint >= CAST(:min_index_size AS bigint) THEN t.oid END AS regclass)) AS s
  CROSS JOIN LATERAL (SELECT s.leaf_pages + s.empty_pages + s.deleted_pages AS pages) AS level
  CROSS JOIN LATERAL (
    SELECT level.pages, greatest(0, 100 * (1 - s.leaf_pages * coalesce(nullif(s.avg_leaf_density, 'NaN'), 0) / t.fillfactor
                                               / nullif(level.pages, 0))) AS percent
  ) AS used
)
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
