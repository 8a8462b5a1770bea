-- name: rebuild_table
-- engine: postgresql >= 12
-- category: maintenance
-- risk: high
-- capabilities: [database_read, database_write, query_optimize]
-- runs: statement
-- transaction: none
-- lock: ACCESS EXCLUSIVE
-- max_execution_time: 14400
-- privileges: [VACUUM]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
-- returns:
--   bytes_before: {from: first(find.bytes), type: [integer, 'null']}
--   bytes_after: {from: first(verify.bytes), type: [integer, 'null']}
--   skipped: rows(skipped)
-- examples: [{params: {schema: public, table: orders}}]
--
-- Rewrite one table and its indexes with VACUUM (FULL, ANALYZE), returning all free space to the file system. No other session
-- can read or write the table meanwhile, and while the command waits for its lock all others queue behind it. Needs disk space
-- for a second copy of the table and its indexes, and ownership (version 17 on: MAINTAIN). A server crash in the middle leaves
-- the half-written copy as an orphaned file in the data directory. Prefer pg_repack where that extension can be used.
-- Partitioned tables: one partition at a time; materialized views: REFRESH does the same.

-- find: the table's file and its size; no row if it cannot be rewritten
WITH
-- include: locked_tables
SELECT c.oid::text AS oid, c.relfilenode::text AS filenode,
       CASE WHEN NOT EXISTS (SELECT 1 FROM locked AS k WHERE k.oid = c.oid) THEN pg_total_relation_size(c.oid) END AS bytes
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text)
  AND c.relkind = 'r' AND c.relpersistence <> 't' AND c.relfilenode <> 0

-- include: same_name

-- probe: defer if CREATE INDEX CONCURRENTLY or VACUUM is running: waiting behind it could make it fail with a deadlock
LOCK TABLE {schema}.{table} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT

-- do: rewrite the table and its indexes
VACUUM (FULL, ANALYZE) {schema}.{table}

-- verify: a rewrite puts the same table into another file
WITH
-- include: locked_tables
SELECT c.relfilenode <> CAST(:filenode AS oid) AS ok,
       CASE WHEN NOT EXISTS (SELECT 1 FROM locked AS k WHERE k.oid = c.oid) THEN pg_total_relation_size(c.oid) END AS bytes
FROM pg_class AS c
WHERE c.oid = CAST(:oid AS oid)
