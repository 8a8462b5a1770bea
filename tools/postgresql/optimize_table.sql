-- name: optimize_table
-- engine: postgresql >= 12
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, query_optimize]
-- runs: statement
-- transaction: none
-- lock: "SHARE UPDATE EXCLUSIVE, brief ACCESS EXCLUSIVE"
-- max_execution_time: 14400
-- privileges: [VACUUM]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
-- returns:
--   bytes_before: {from: first(find.bytes), type: [integer, 'null']}
--   bytes_after: {from: first(verify.bytes), type: [integer, 'null']}
--   dead_rows_before: {from: first(find.dead_rows), type: [integer, 'null']}
--   dead_rows_after: {from: first(verify.dead_rows), type: [integer, 'null']}
--   skipped: rows(skipped)
-- examples: [{params: {schema: public, table: orders}}]
--
-- Run VACUUM (ANALYZE) on one table, partition or materialized view while reads and writes continue. Makes the space of dead
-- rows reusable, freezes old rows (all of them once the table's age exceeds vacuum_freeze_table_age) and updates statistics.
-- Expect I/O. The file shrinks only if its end is empty (for that moment VACUUM takes a short exclusive lock, and gives way if
-- another session waits); rebuild_table returns all free space, but locks the table. Dead rows that an old transaction may
-- still see stay. A table that another session vacuums, analyzes or alters is skipped without waiting. A partitioned table is
-- vacuumed partition by partition. Whether it happened is read from the server's counts of VACUUM and ANALYZE runs. Needs
-- ownership (version 17 on: MAINTAIN); without it PostgreSQL only warns, and the table is skipped.

-- find: size, dead rows, and the counts of VACUUM and ANALYZE so far; no row if it cannot be vacuumed
WITH RECURSIVE target AS (
  SELECT c.oid, c.relkind FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text) AND c.relkind IN ('r', 'p', 'm')
    AND c.relpersistence <> 't'
),
-- include: partition_tree,
-- include: locked_tables
SELECT p.root::text AS oid, count(*) AS parts, sum(pg_stat_get_vacuum_count(c.oid)) AS vacuums,
       sum(pg_stat_get_analyze_count(c.oid)) AS analyses,
       sum(pg_stat_get_dead_tuples(c.oid))::bigint AS dead_rows,
       (CASE WHEN bool_and(h.oid IS NULL)
         THEN sum(CASE WHEN h.oid IS NULL THEN pg_total_relation_size(c.oid) END) END)::bigint AS bytes
FROM tree AS p
JOIN pg_class AS c ON c.oid = p.oid AND c.relkind IN ('r', 'm')
LEFT JOIN locked AS h ON h.oid = c.oid
GROUP BY p.root

-- include: same_name

-- do: make the space of dead rows reusable; SKIP_LOCKED: give up at once if another session holds a conflicting lock
VACUUM (SKIP_LOCKED, ANALYZE) {schema}.{table}

-- verify: the server has counted another VACUUM and ANALYZE of every part
WITH RECURSIVE target AS (
  SELECT c.oid, c.relkind FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text) AND c.relkind IN ('r', 'p', 'm')
    AND c.relpersistence <> 't'
),
-- include: partition_tree,
-- include: locked_tables
SELECT sum(pg_stat_get_vacuum_count(c.oid)) >= CAST(:vacuums AS numeric) + CAST(:parts AS numeric)
         AND sum(pg_stat_get_analyze_count(c.oid)) >= CAST(:analyses AS numeric) + CAST(:parts AS numeric) AS ok,
       sum(pg_stat_get_dead_tuples(c.oid))::bigint AS dead_rows,
       (CASE WHEN bool_and(h.oid IS NULL)
         THEN sum(CASE WHEN h.oid IS NULL THEN pg_total_relation_size(c.oid) END) END)::bigint AS bytes
FROM tree AS p
JOIN pg_class AS c ON c.oid = p.oid AND c.relkind IN ('r', 'm')
LEFT JOIN locked AS h ON h.oid = c.oid
WHERE p.root = CAST(:oid AS oid)
GROUP BY p.root
