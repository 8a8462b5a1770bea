-- name: check_table_corruption
-- engine: postgresql >= 12 < 14 with amcheck
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- privileges: [EXECUTE ON amcheck]
-- runs: each
-- transaction: none
-- lock: ACCESS SHARE
-- max_execution_time: 7200
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list, description: 'tables as {schema, table}'}
-- returns:
--   corrupted_tables: rows(corrupted)
--   checked: {from: rows(ok), description: tables and indexes found sound}
--   not_checked: {from: 'rows(skipped, failed, report)', description: with the reason}
-- examples: [{params: {tables: [{schema: public, table: orders}]}}]
--
-- Check the btree indexes of tables and of their TOAST tables with the extension amcheck. Checks that entries are in order and
-- that every row of the table has its entry (bt_index_check with heapallindexed, which also reads the table). The rows
-- themselves can be checked from version 14 on. Reads every page of index and table, so that bad page checksums are found too;
-- takes ACCESS SHARE locks only and changes nothing, but costs the I/O of a full read. Not found: a page of zeros (it counts as
-- empty; compare a count over an index with one over the table), and whatever is not checked (see not_checked: index types
-- other than btree, views, names that do not exist). Works on a standby. Needs EXECUTE on amcheck's functions, which only
-- superusers have by default. REINDEX repairs a damaged index; a damaged table can only be restored from a backup.

-- find: each btree index, largest first
WITH
-- include: check_target,
part AS (
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

-- report: named objects that cannot be checked
WITH named AS (
  SELECT DISTINCT w."schema" AS nspname, w."table" AS relname, c.oid, c.relkind, c.relpersistence, am.amname
  FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
  LEFT JOIN pg_namespace AS s ON s.nspname = w."schema"
  LEFT JOIN pg_class AS c ON c.relnamespace = s.oid AND c.relname = w."table"
  LEFT JOIN pg_am AS am ON am.oid = c.relam
), unchecked AS (
  -- include: unchecked_tables
  UNION ALL
  SELECT n.nspname, n.relname, NULL,
         'the table itself: checking its pages needs version 14' FROM named AS n JOIN pg_class AS c ON c.oid = n.oid
           WHERE c.relkind IN ('r', 'm')
  UNION ALL
  -- include: unchecked_indexes
)
SELECT u.nspname AS schema, u.relname AS "table", u.index_name AS index_name, u.reason AS reason
FROM unchecked AS u WHERE u.reason IS NOT NULL
ORDER BY u.nspname, u.relname, u.index_name NULLS FIRST
