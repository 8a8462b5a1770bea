-- name: inspect_indexes
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 60
-- idempotent: true
-- returns:
--   indexes: rows(indexes)
-- examples: [{params: {}}]
--
-- List every index of user tables with its size, validity and estimated bloat, in one query without locks. Sizes are
-- pg_class.relpages as of the last VACUUM or ANALYZE. Only btree indexes are estimated. From version 13 on equal keys share
-- entries, so the size of a non-unique index depends on how often keys repeat: if that is not known well enough, the figure is
-- withheld (measure_indexes measures it with pgstattuple). Partitioned indexes hold no data and are left out.

-- indexes: one row per index
WITH target AS MATERIALIZED (
  SELECT x.oid, i.indrelid, n.nspname AS schema_name, c.relname AS table_name, x.relname AS index_name, x.relpages AS pages,
         greatest(x.reltuples, 0) AS reltuples, am.amname, am.amname = 'btree' AS btree,
         coalesce(substring(array_to_string(x.reloptions, ',') FROM 'fillfactor=([0-9]+)')::int, 90) AS fillfactor,
         false AS held,
         i.indisvalid AND i.indisready AND i.indislive AS valid, i.indisunique, i.indisexclusion,
         i.indpred IS NOT NULL AS partial,
         i.indnkeyatts, i.indnatts, i.indkey, i.indclass,
         coalesce(substring(array_to_string(x.reloptions, ',') FROM 'deduplicate_items=(\w+)'), 'on') AS deduplicate,
         c.relkind, c.reltuples AS table_rows,
         pg_stat_get_mod_since_analyze(c.oid) AS modified,
         greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_index AS i ON i.indrelid = c.oid
  JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
  JOIN pg_am AS am ON am.oid = x.relam
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND NOT (x.relpersistence = 'u' AND pg_is_in_recovery())  -- unlogged tables are empty on a standby
),
-- include: index_estimate
SELECT r.schema_name AS schema, r.table_name AS "table", r.index_name AS index_name,
       -- an index created before its table was filled still counts one page
       CASE WHEN r.analyzed IS NOT NULL OR r.pages > 1 OR pg_stat_get_live_tuples(r.indrelid) = 0 THEN r.bytes END AS bytes,
       r.valid AS valid,
       round(r.percent::numeric, 1) AS fragmentation_percent, r.method AS method,
       r.reclaimable_bytes::bigint AS reclaimable_bytes, r.withheld AS withheld
FROM result AS r
ORDER BY r.schema_name, r.table_name, r.index_name
