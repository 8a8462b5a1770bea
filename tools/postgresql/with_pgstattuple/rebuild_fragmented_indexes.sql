-- name: rebuild_fragmented_indexes
-- engine: postgresql >= 12 with pgstattuple
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, index_manage]
-- runs: each
-- transaction: none
-- lock: SHARE UPDATE EXCLUSIVE
-- locks_too: {index: ACCESS EXCLUSIVE}
-- max_execution_time: 14400
-- privileges: [MAINTAIN]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   fragmentation_threshold: {type: number, editable: true, default: 30, minimum: 0, maximum: 100, description: rebuild above this percentage}
--   min_index_size: {type: integer, editable: true, default: 1048576, minimum: 0, description: bytes; smaller indexes are left alone}
-- returns:
--   indexes_rebuilt: count(ok)
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   failed: rows(failed)
--   skipped: rows(skipped)
--   left_alone: {from: rows(report), description: indexes of that size that cannot be rebuilt or assessed, with the reason}
-- examples: [{params: {schema: public, table: orders, fragmentation_threshold: 30}}]
--
-- Rebuild the bloated btree indexes of one table with REINDEX INDEX CONCURRENTLY while the application reads and writes. It
-- causes I/O and needs disk space for a second copy of the index meanwhile. A rebuild waits for transactions older than itself.
-- The bloat of a btree index is 1 - avg_leaf_density / fillfactor over its leaf pages, with deleted and empty pages counted as
-- free (pgstatindex): a fresh index has 0 %, random inserts settle around 20 to 25 %. Left alone: exclusion constraints
-- (PostgreSQL cannot rebuild them concurrently), invalid indexes (drop_invalid_indexes), indexes of materialized views (REFRESH
-- rebuilds them, and they cannot be locked without waiting), partitioned parents (their partitions are rebuilt instead), index
-- types other than btree, and everything on versions 14.0 to 14.3, where REINDEX CONCURRENTLY corrupts indexes (bug 17485,
-- fixed in 14.4). An interrupted rebuild leaves an invalid index <name>_ccnew or <name>_ccold, which is dropped. Needs
-- ownership of the table (version 17 on: MAINTAIN), and EXECUTE on pgstatindex (pg_stat_scan_tables, which is part of
-- pg_monitor).

-- find: indexes above the threshold, most reclaimable first
WITH
-- include: held,
-- include: index_of_table,
-- include: index_measurement
-- include: index_to_rebuild

-- include: same_indexed_table

-- probe: defer if CREATE INDEX CONCURRENTLY or VACUUM is running: waiting behind it could make it fail with a deadlock
LOCK TABLE {schema}.{table} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT

-- do: build a new index beside the old one and swap them
REINDEX INDEX CONCURRENTLY {schema}.{index_name}

-- verify: another, valid index has taken the old one's place
WITH
-- include: held
-- include: index_rebuilt

-- leftovers: invalid copies of this very index that an interrupted rebuild left
-- include: index_leftovers

-- cleanup: drop one of them; the probe has shown that nobody is building it
DROP INDEX CONCURRENTLY IF EXISTS {schema}.{leftover}

-- report: indexes of that size that were not assessed, and why
WITH
-- include: held,
candidate AS (
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
