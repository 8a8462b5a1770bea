-- name: update_table_statistics
-- engine: postgresql >= 12
-- category: maintenance
-- risk: low
-- capabilities: [database_read, query_optimize]
-- runs: statement
-- transaction: none
-- lock: SHARE UPDATE EXCLUSIVE
-- max_execution_time: 1800
-- privileges: [VACUUM]
-- idempotent: true
-- lock_timeout: 0.9
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
-- returns:
--   statistics_updated: count(ok)
--   skipped: rows(skipped)
-- examples: [{params: {schema: public, table: orders}}]
--
-- Update the planner statistics of one table, partitioned table or materialized view with ANALYZE. Reads a random sample while
-- the application continues. A partitioned table is analyzed with all its partitions (autovacuum never analyzes the parent). A
-- table that another session has locked is skipped without waiting; views and foreign tables are left out. Whether it happened
-- is read from the server's count of ANALYZE runs. Needs ownership (version 17 on: MAINTAIN); without it PostgreSQL only warns,
-- and the table is skipped.

-- find: the count of ANALYZE runs so far
WITH RECURSIVE target AS (
  SELECT c.oid, c.relkind FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text) AND c.relkind IN ('r', 'p', 'm')
    AND c.relpersistence <> 't'
),
-- include: partition_tree
SELECT p.root::text AS oid, sum(pg_stat_get_analyze_count(p.oid)) AS analyses
FROM tree AS p
GROUP BY p.root
-- before version 14 the server counts only the partitions' runs, not the parent's
HAVING current_setting('server_version_num')::int >= 140000 OR bool_or(p.relkind IN ('r', 'm'))

-- include: same_name

-- do: sample the table again
ANALYZE (SKIP_LOCKED) {schema}.{table}

-- verify: the server has counted another ANALYZE of this very table
WITH RECURSIVE target AS (
  SELECT c.oid, c.relkind FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text) AND c.relkind IN ('r', 'p', 'm')
    AND c.relpersistence <> 't'
),
-- include: partition_tree
SELECT coalesce(sum(pg_stat_get_analyze_count(p.oid)) > CAST(:analyses AS numeric), false) AS ok,
       to_char(max(pg_stat_get_last_analyze_time(p.oid)) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS last_analyze
FROM tree AS p
WHERE p.root = CAST(:oid AS oid)
