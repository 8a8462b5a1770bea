-- name: check_table_corruption
-- engine: postgresql >= 12 < 14 with amcheck
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: each
-- transaction: none
-- lock: ACCESS SHARE
-- max_execution_time: 7200
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list, description: 'tables as {schema, table}'}
-- returns:
--   corrupted_tables: rows(corrupted)
--   checked: {from: rows(ok), description: tables and indexes found in order}
--   not_checked: {from: 'rows(skipped, failed, report)', description: with the reason}
-- examples: [{params: {tables: [{schema: public, table: orders}]}}]
--
-- Checks the btree indexes of tables and of their TOAST tables with the extension amcheck. That the entries are in order, and
-- that every row of the table has its entry (bt_index_check with heapallindexed, which reads the table too). The rows
-- themselves can be checked from version 14 on.
-- Reads every page of index and table, so that a bad page checksum shows too; takes ACCESS SHARE locks only and changes
-- nothing, but costs the I/O of a full read. Not found: a page of zeros (it counts as empty; compare a count over an index
-- with one over the table), and whatever is not checked (see not_checked: other index types than btree, views, names that do
-- not exist). Works on a standby. Needs EXECUTE on amcheck's functions, which only superusers have by default. Index damage is
-- repaired by REINDEX; there is no repair for a damaged table but its backup.

-- find: each btree index, largest first
WITH target AS (
  SELECT DISTINCT c.oid, n.nspname, c.relname, c.reltoastrelid, c.relpages, am.amname
  FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
  JOIN pg_namespace AS n ON n.nspname = w."schema"
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
  LEFT JOIN pg_am AS am ON am.oid = c.relam
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
), part AS (
  SELECT t.nspname, t.relname, t.oid, x.oid AS index_oid, x.relname AS relation, x.relpages
  FROM target AS t
  JOIN pg_index AS i ON i.indrelid IN (t.oid, t.reltoastrelid) AND i.indisvalid AND i.indisready AND i.indislive
  JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
  JOIN pg_am AS am ON am.oid = x.relam AND am.amname = 'btree'
)
SELECT p.nspname AS schema, p.relname AS "table", p.relation AS relation,
       CASE WHEN p.index_oid IS NOT NULL THEN p.relation END AS index_name,
       p.index_oid::text AS index_oid, p.relpages * current_setting('block_size')::bigint AS bytes
FROM part AS p
ORDER BY p.relpages DESC, p.nspname, p.relname, p.relation

-- do: a damaged index or an unreadable page raises an error
SELECT nullif(bt_index_check(CAST(:index_oid AS regclass), true)::text, '') AS problem
FROM (SELECT 1) AS {relation}  -- names the object in the statement

-- report: what was named and cannot be checked
WITH named AS (
  SELECT DISTINCT w."schema" AS nspname, w."table" AS relname, c.oid, c.relkind, c.relpersistence, am.amname
  FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
  LEFT JOIN pg_namespace AS s ON s.nspname = w."schema"
  LEFT JOIN pg_class AS c ON c.relnamespace = s.oid AND c.relname = w."table"
  LEFT JOIN pg_am AS am ON am.oid = c.relam
), unchecked AS (
  SELECT n.nspname, n.relname, NULL AS index_name,
         CASE WHEN n.oid IS NULL THEN 'it does not exist'
              WHEN n.relpersistence = 't' THEN 'a temporary table of another session'
              WHEN n.relpersistence = 'u' AND pg_is_in_recovery() THEN 'an unlogged table is empty on a standby'
              WHEN n.relkind IN ('r', 'm') THEN CASE WHEN n.amname <> 'heap'
                THEN 'not stored as a heap: amcheck cannot read it' END
              WHEN n.relkind = 'p' THEN 'a partitioned table holds no rows: name its partitions'
              WHEN n.relkind = 'v' THEN 'a view holds no rows'
              WHEN n.relkind = 'f' THEN 'a foreign table: check it where it lives'
              ELSE 'not a table' END AS reason
  FROM named AS n
  UNION ALL
  SELECT n.nspname, n.relname, NULL,
         'the table itself: checking its pages needs version 14' FROM named AS n JOIN pg_class AS c ON c.oid = n.oid
           WHERE c.relkind IN ('r', 'm')
  UNION ALL
  SELECT n.nspname, n.relname, x.relname::text,
         CASE WHEN am.amname <> 'btree' THEN 'amcheck cannot check a ' || am.amname || ' index' ELSE 'the index is invalid' END
  FROM named AS n
  JOIN pg_index AS i ON i.indrelid = n.oid
  JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
  JOIN pg_am AS am ON am.oid = x.relam
  WHERE n.relpersistence <> 't' AND (am.amname <> 'btree' OR NOT (i.indisvalid AND i.indisready AND i.indislive))
)
SELECT u.nspname AS schema, u.relname AS "table", u.index_name AS index_name, u.reason AS reason
FROM unchecked AS u WHERE u.reason IS NOT NULL
ORDER BY u.nspname, u.relname, u.index_name NULLS FIRST
