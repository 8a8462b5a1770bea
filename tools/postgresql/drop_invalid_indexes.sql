-- name: drop_invalid_indexes
-- engine: postgresql >= 12
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, index_manage]
-- runs: each
-- transaction: none
-- lock: SHARE UPDATE EXCLUSIVE
-- locks_too: {index: ACCESS EXCLUSIVE}
-- max_execution_time: 300
-- privileges: [OWNERSHIP]
-- idempotent: true
-- lock_timeout: 0.5
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   recorded: {type: array, default: [], description: names of indexes of this table that aishell's own runs have rebuilt}
-- returns:
--   indexes_dropped: count(ok)
--   reported: rows(report)
--   failed: rows(failed)
--   skipped: rows(skipped)
-- examples: [{params: {schema: public, table: orders, recorded: [orders_created_idx]}}]
--
-- Drop the invalid index copies (<name>_ccnew, <name>_ccold) that aishell's interrupted rebuilds left on one table. They take
-- up space, slow down every write and serve no query. The application is not affected. Only copies of indexes recorded by
-- aishell's own runs are dropped, and only while no other session maintains the table: queued behind a running build, DROP
-- would remove the finished valid index. Other invalid indexes are reported: they may be under construction, or parents of
-- partitioned indexes that lack partitions. Needs ownership of the table.

-- find: invalid copies of recorded indexes
WITH
-- include: orphan_indexes
SELECT DISTINCT o.name AS index_name, o.oid::text AS oid, o.table_oid::text AS table_oid,
       x.relpages * current_setting('block_size')::bigint AS bytes
FROM orphan AS o JOIN pg_class AS x ON x.oid = o.oid
ORDER BY bytes DESC, index_name

-- same: the table and the index are those that were approved
SELECT to_regclass(format('%I.%I', CAST(:schema AS text), CAST(:table AS text))) = CAST(CAST(:table_oid AS text) AS oid)
       AND to_regclass(format('%I.%I', CAST(:schema AS text), CAST(:index_name AS text))) = CAST(CAST(:oid AS text) AS oid) AS same

-- probe: defer if a build or VACUUM is running on the table
LOCK TABLE {schema}.{table} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT

-- do: drop the copy
DROP INDEX CONCURRENTLY {schema}.{index_name}

-- verify: the index is gone, and its table still exists
SELECT NOT EXISTS (SELECT 1 FROM pg_class AS x WHERE x.oid = CAST(:oid AS oid))
       AND EXISTS (SELECT 1 FROM pg_class AS c WHERE c.oid = CAST(CAST(:table_oid AS text) AS oid)) AS ok

-- report: other invalid indexes of the table, which are left alone
WITH
-- include: orphan_indexes,
-- include: locked_tables
SELECT n.nspname AS schema, c.relname AS "table", x.relname AS index_name,
       CASE WHEN NOT EXISTS (SELECT 1 FROM locked AS k WHERE k.oid = c.oid) THEN pg_get_indexdef(x.oid) END AS definition,
       -- NULL: a build is running in this database that this role may not see (it needs pg_monitor)
       CASE WHEN EXISTS (SELECT 1 FROM pg_stat_progress_create_index AS b WHERE b.index_relid = x.oid OR b.relid = c.oid)
         THEN true
            WHEN EXISTS (SELECT 1 FROM pg_stat_progress_create_index AS b WHERE b.datname = current_database()
              AND b.relid IS NULL) THEN NULL
            ELSE false END AS build_running,
       CASE WHEN x.relkind = 'I' THEN 'a partitioned index without the indexes of all its partitions (ALTER INDEX … ATTACH PARTITION)'
            WHEN x.relname ~ '_cc(new|old)[0-9]*$'
              THEN 'left by a REINDEX CONCURRENTLY that is not recorded as aishell''s, or by one still running'
            ELSE 'left by a failed CREATE INDEX CONCURRENTLY, or by one still running' END AS reason
FROM pg_namespace AS n
JOIN pg_class AS c ON c.relnamespace = n.oid
JOIN pg_index AS i ON i.indrelid = c.oid AND NOT i.indisvalid
JOIN pg_class AS x ON x.oid = i.indexrelid
WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text)
  AND x.oid NOT IN (SELECT o.oid FROM orphan AS o)
ORDER BY x.relname
