-- name: rebuild_fragmented_indexes
-- engine: postgresql >= 12 with pgstattuple
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, index_manage]
-- runs: each
-- transaction: none
-- lock: SHARE UPDATE EXCLUSIVE
-- max_execution_time: 14400
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   fragmentation_threshold: {type: number, default: 30, minimum: 0, maximum: 100, description: rebuild above this percentage}
--   min_index_size: {type: integer, default: 1048576, minimum: 0, description: smaller indexes are left alone}
-- returns:
--   indexes_rebuilt: count(ok)
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   failed: rows(failed)
--   skipped: rows(skipped)
--   left_alone: {from: rows(report), description: indexes of that size that cannot be rebuilt or not be judged, with the reason}
-- examples: [{params: {schema: public, table: orders, fragmentation_threshold: 30}}]
--
-- Rebuilds the bloated btree indexes of one table with REINDEX INDEX CONCURRENTLY. The application goes on reading and
-- writing; it sees more I/O, and needs room for a second copy of the index meanwhile. A rebuild waits for transactions that
-- are older than itself. Bloat of a btree index is 1 - avg_leaf_density / fillfactor over its leaf pages, with deleted and
-- empty pages counted as free (pgstatindex): a fresh index has 0 %, random inserts settle around 20 to 25 %.
-- Left alone: exclusion constraints (PostgreSQL cannot rebuild them concurrently), invalid indexes (drop_invalid_indexes),
-- indexes of materialized views (REFRESH rebuilds them, and they cannot be locked without waiting), partitioned parents (their
-- partitions are worked on), other access methods than btree, and everything on versions 14.0 to 14.3, where REINDEX
-- CONCURRENTLY corrupts indexes (bug 17485, fixed in 14.4). An interrupted rebuild leaves an invalid index <name>_ccnew or
-- <name>_ccold, which is dropped. Needs ownership of the table (version 17 on: MAINTAIN), and EXECUTE on pgstatindex
-- (pg_stat_scan_tables, a part of pg_monitor).

-- find: indexes above the threshold, most reclaimable first
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
  FROM pg_namespace AS n
  JOIN pg_class AS c ON c.relnamespace = n.oid
  JOIN pg_index AS i ON i.indrelid = c.oid
  JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
  JOIN pg_am AS am ON am.oid = x.relam
  LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (x.oid, c.oid) LIMIT 1) AS h ON true
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text)
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
SELECT r.index_name AS index_name, r.bytes AS bytes, round(r.percent::numeric, 1) AS fragmentation,
       CASE WHEN NOT r.held THEN pg_get_indexdef(r.oid) END AS definition, r.oid::text AS oid, r.indrelid::text AS table_oid
FROM result AS r
WHERE r.relkind = 'r' AND r.btree AND r.valid AND NOT r.indisexclusion
  AND NOT (current_setting('server_version_num')::int BETWEEN 140000 AND 140003)
  AND r.bytes >= CAST(:min_index_size AS bigint)
  AND round(r.percent::numeric, 1) > CAST(:fragmentation_threshold AS numeric)
ORDER BY r.reclaimable_bytes DESC, r.index_name

-- probe: somebody's CREATE INDEX CONCURRENTLY or VACUUM at work: a patient wait could end theirs as a deadlock
LOCK TABLE {schema}.{table} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT

-- do: build a new index beside the old one and swap them
REINDEX INDEX CONCURRENTLY {schema}.{index_name}

-- verify: a rebuild puts another, valid index in the old one's place
WITH held AS MATERIALIZED (
  -- Relations that another session has locked against reading, or is about to: a size function would queue there.
  SELECT DISTINCT l.relation FROM pg_locks AS l
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
)
SELECT x.oid <> CAST(:oid AS oid) AND i.indisvalid AND i.indisready AND i.indislive
         -- pg_get_indexdef() would wait for a locked table
         AND CASE WHEN h.relation IS NULL THEN pg_get_indexdef(x.oid) = CAST(:definition AS text) ELSE true END AS ok,
       CASE WHEN h.relation IS NULL THEN pg_relation_size(x.oid)
         ELSE x.relpages * current_setting('block_size')::bigint END AS bytes
FROM pg_namespace AS n
JOIN pg_class AS x ON x.relnamespace = n.oid AND x.relname = CAST(:index_name AS text)
JOIN pg_index AS i ON i.indexrelid = x.oid AND i.indrelid = CAST(:table_oid AS oid)
LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (x.oid, i.indrelid) LIMIT 1) AS h ON true
WHERE n.nspname = CAST(:schema AS text)

-- leftovers: invalid copies of this very index that an interrupted rebuild left
WITH original AS (
  SELECT n.oid AS namespace, i.indrelid, i.indkey::text AS columns, i.indclass::text AS classes,
         i.indcollation::text AS collations,
         i.indoption::text AS options, i.indisunique, x.relam,
         regexp_replace(i.indexprs::text, ':location -?[0-9]+', '', 'g') AS expressions,
         regexp_replace(i.indpred::text, ':location -?[0-9]+', '', 'g') AS predicate
  FROM pg_namespace AS n
  JOIN pg_class AS x ON x.relnamespace = n.oid AND x.relname = CAST(:index_name AS text)
  JOIN pg_index AS i ON i.indexrelid = x.oid AND i.indrelid = CAST(:table_oid AS oid)
  WHERE n.nspname = CAST(:schema AS text)
), candidate AS (
  SELECT x.relname::text AS name, substring(x.relname::text FROM '_cc(?:new|old)[0-9]*$') AS suffix
  FROM original AS o
  JOIN pg_index AS i ON i.indrelid = o.indrelid AND NOT i.indisvalid
  JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i' AND NOT x.relispartition AND x.relnamespace = o.namespace
    AND x.relam = o.relam
  WHERE i.indkey::text = o.columns AND i.indclass::text = o.classes AND i.indcollation::text = o.collations
    AND i.indoption::text = o.options
    AND i.indisunique = o.indisunique AND NOT i.indisprimary
    AND regexp_replace(i.indexprs::text, ':location -?[0-9]+', '', 'g') IS NOT DISTINCT FROM o.expressions
    AND regexp_replace(i.indpred::text, ':location -?[0-9]+', '', 'g') IS NOT DISTINCT FROM o.predicate
)
SELECT k.name AS leftover
FROM candidate AS k
-- PostgreSQL cuts the index's name so that name and suffix fit (63 bytes), at a character's border: makeObjectName()
WHERE k.name = left(CAST(:index_name AS text),
  (SELECT max(s.length) FROM generate_series(0, char_length(CAST(:index_name AS text))) AS s(length)
                WHERE octet_length(left(CAST(:index_name AS text),
                  s.length)) <= current_setting('max_identifier_length')::int - octet_length(k.suffix))) || k.suffix
ORDER BY k.name

-- cleanup: drop one of them; the probe has shown that nobody is building it
DROP INDEX CONCURRENTLY IF EXISTS {schema}.{leftover}

-- report: indexes of that size that were not judged, and why
WITH held AS MATERIALIZED (
  -- Relations that another session has locked against reading, or is about to: a size function would queue there.
  SELECT DISTINCT l.relation FROM pg_locks AS l
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
), candidate AS (
  SELECT x.relname AS index_name,
         CASE WHEN h.relation IS NULL THEN pg_relation_size(x.oid)
           ELSE x.relpages * current_setting('block_size')::bigint END AS bytes,
         CASE WHEN am.amname <> 'btree' THEN 'no way to measure a ' || am.amname || ' index'
              WHEN c.relkind = 'm' THEN 'REFRESH MATERIALIZED VIEW rebuilds it'
              WHEN i.indisexclusion THEN 'it enforces an exclusion constraint: PostgreSQL cannot rebuild it concurrently'
              WHEN (current_setting('server_version_num')::int BETWEEN 140000 AND 140003)
                THEN 'REINDEX CONCURRENTLY corrupts indexes on this version (bug 17485): update to 14.4 or later'
              WHEN NOT (i.indisvalid AND i.indisready AND i.indislive) THEN 'the index is invalid: see drop_invalid_indexes'
              WHEN h.relation IS NOT NULL THEN 'locked by another session' END AS reason
  FROM pg_namespace AS n
  JOIN pg_class AS c ON c.relnamespace = n.oid
  JOIN pg_index AS i ON i.indrelid = c.oid
  JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
  JOIN pg_am AS am ON am.oid = x.relam
  LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (x.oid, c.oid) LIMIT 1) AS h ON true
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text)
)
SELECT k.index_name AS index_name, k.bytes AS bytes, k.reason AS reason
FROM candidate AS k WHERE k.reason IS NOT NULL AND k.bytes >= CAST(:min_index_size AS bigint)
ORDER BY k.bytes DESC, k.index_name
