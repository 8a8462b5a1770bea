-- name: batch_update_statistics
-- engine: postgresql >= 12
-- category: maintenance
-- risk: low
-- capabilities: [database_read, query_optimize]
-- runs: each
-- transaction: none
-- lock: SHARE UPDATE EXCLUSIVE
-- max_execution_time: 3600
-- privileges: [VACUUM]
-- idempotent: true
-- lock_timeout: 0.9
-- group: 100
-- parameters:
--   tables: {type: identifier_list, description: 'tables as {schema, table}'}
-- returns:
--   statistics_updated: count(ok)
--   skipped: rows(skipped, report)
--   failed: rows(failed)
-- examples: [{params: {tables: [{schema: public, table: orders}]}}]
--
-- Update the planner statistics of many tables with ANALYZE, a hundred tables per statement. Measured at less than half the
-- time of single statements. Tables that another session has locked are skipped without waiting, so that one table cannot hold
-- up its group. The tables with the most changes come first. Whether each table was analyzed is read from the server's count of
-- ANALYZE runs, so empty tables and tables never analyzed before count too. Needs ownership (version 17 on: MAINTAIN); without
-- it PostgreSQL only warns, and the table is skipped.

-- find: the named tables, most changed rows first
WITH RECURSIVE target AS (
  SELECT DISTINCT c.oid, c.relkind, n.nspname, c.relname
  FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
  JOIN pg_namespace AS n ON n.nspname = w."schema"
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
  WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
),
-- include: partition_tree
SELECT t.nspname AS schema, t.relname AS "table", t.oid::text AS oid,
       sum(pg_stat_get_analyze_count(p.oid)) AS analyses, sum(pg_stat_get_mod_since_analyze(p.oid)) AS modified_rows
FROM target AS t JOIN tree AS p ON p.root = t.oid
GROUP BY t.oid, t.nspname, t.relname
-- before version 14 the server counts only the partitions' runs, not the parent's
HAVING current_setting('server_version_num')::int >= 140000 OR bool_or(p.relkind IN ('r', 'm'))
ORDER BY modified_rows DESC, t.nspname, t.relname

-- same: the tables of the group are those that were found
SELECT count(*) = 0 AS same
FROM jsonb_to_recordset(CAST(:group AS jsonb)) AS g("schema" text, "table" text, oid text)
WHERE to_regclass(format('%I.%I', g."schema", g."table")) IS DISTINCT FROM CAST(g.oid AS oid)

-- do: sample the tables of the group again
ANALYZE (SKIP_LOCKED) {group}

-- verify: the server has counted another ANALYZE of each
WITH RECURSIVE target AS (
  SELECT w.oid::oid AS oid, c.relkind, w."schema", w."table", w.analyses
  FROM jsonb_to_recordset(CAST(:group AS jsonb)) AS w("schema" text, "table" text, oid text, analyses numeric)
  JOIN pg_class AS c ON c.oid = w.oid::oid
),
-- include: partition_tree
SELECT t."schema" AS schema, t."table" AS "table", sum(pg_stat_get_analyze_count(p.oid)) > t.analyses AS ok
FROM target AS t JOIN tree AS p ON p.root = t.oid
GROUP BY t."schema", t."table", t.analyses

-- report: named objects that cannot be analyzed, and why
SELECT w."schema" AS schema, w."table" AS "table",
       CASE WHEN c.oid IS NULL THEN 'it does not exist' WHEN c.relpersistence = 't' THEN 'a temporary table of another session'
            ELSE CASE c.relkind WHEN 'v' THEN 'a view has no statistics' WHEN 'f'
              THEN 'a foreign table: analyze it on its own server'
                 ELSE 'not a table' END END AS reason
FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
LEFT JOIN pg_namespace AS n ON n.nspname = w."schema"
LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
WHERE c.oid IS NULL OR c.relkind NOT IN ('r', 'p', 'm') OR c.relpersistence = 't'
ORDER BY w."schema", w."table"
