-- name: check_table_corruption
-- engine: postgresql >= 14 with amcheck
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- privileges: [EXECUTE ON amcheck]
-- runs: each
-- transaction: none
-- lock: ACCESS SHARE
-- max_execution_time: 7200
-- idempotent: true
-- group: 100
-- key: [schema, table, relation]
-- parameters:
--   tables: {type: identifier_list, description: 'tables as {schema, table}'}
-- returns:
--   corrupted_tables: rows(corrupted)
--   checked: {from: rows(ok), description: tables and indexes found sound}
--   not_checked: {from: 'rows(skipped, failed, report)', description: with the reason}
-- examples: [{params: {tables: [{schema: public, table: orders}]}}]
--
-- Check tables (with their TOAST) and their btree indexes with the extension amcheck. Tables: every row's header, visibility
-- and TOAST values (verify_heapam). Indexes: the order of entries, and that every row of the table has its entry
-- (bt_index_check with heapallindexed). Reads every page, so that bad page checksums are found too; takes ACCESS SHARE locks
-- only and changes nothing, but costs the I/O of a full read. Not found: a page of zeros (it counts as empty; compare a count
-- over an index with one over the table), and whatever is not checked (see not_checked: index types other than btree, views,
-- names that do not exist). Works on a standby. Needs EXECUTE on amcheck's functions, which only superusers have by default.
-- REINDEX repairs a damaged index; a damaged table can only be restored from a backup.

-- find: each table and each btree index, largest first
WITH
-- include: check_target,
part AS (
  SELECT t.nspname, t.relname, t.oid, t.reltoastrelid, NULL::oid AS index_oid, t.relname AS relation, t.relpages
  FROM target AS t WHERE t.amname = 'heap'
  UNION ALL
  SELECT t.nspname, t.relname, t.oid, 0, x.oid, x.relname, x.relpages
  FROM target AS t
  JOIN pg_index AS i ON i.indrelid = t.oid AND i.indisvalid AND i.indisready AND i.indislive
  JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
  JOIN pg_am AS am ON am.oid = x.relam AND am.amname = 'btree'
)
SELECT p.nspname AS schema, p.relname AS "table", p.relation AS relation,
       CASE WHEN p.index_oid IS NOT NULL THEN p.relation END AS index_name,
       p.oid::text AS oid, nullif(p.reltoastrelid, 0)::text AS toast_oid, p.index_oid::text AS index_oid,
       p.relpages * current_setting('block_size')::bigint AS bytes
FROM part AS p
ORDER BY p.relpages DESC, p.nspname, p.relname, p.relation

-- do: the problems of a group; a damaged index or an unreadable page raises an error, and then each object is checked alone
WITH part AS MATERIALIZED (
  SELECT g.oid, g.toast_oid, g.index_oid
  FROM jsonb_to_recordset(CAST(:group AS jsonb)) AS g(oid oid, toast_oid oid, index_oid oid)
)
SELECT string_agg(found.text, '; ') AS problem
FROM (
  -- a table and its TOAST: one row for each damage
  SELECT format('%s, block %s, row %s%s: %s', heap.oid, h.blkno, h.offnum, ', column ' || h.attnum, h.msg) AS text
  FROM (SELECT CAST(o.oid AS regclass) AS oid
        FROM part AS p CROSS JOIN LATERAL (VALUES (p.oid), (p.toast_oid)) AS o(oid)
        WHERE p.index_oid IS NULL AND o.oid IS NOT NULL) AS heap
  CROSS JOIN LATERAL verify_heapam(heap.oid, check_toast => true) AS h
  UNION ALL
  -- an index, or the TOAST index: returns nothing, damage raises an error
  SELECT nullif(bt_index_check(CAST(tree.oid AS regclass), true)::text, '')
  FROM (SELECT p.index_oid AS oid FROM part AS p WHERE p.index_oid IS NOT NULL
        UNION ALL
        SELECT i.indexrelid FROM part AS p JOIN pg_index AS i ON i.indrelid = p.toast_oid AND i.indisvalid) AS tree
) AS found


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
  -- include: unchecked_indexes
)
SELECT u.nspname AS schema, u.relname AS "table", u.index_name AS index_name, u.reason AS reason
FROM unchecked AS u WHERE u.reason IS NOT NULL
ORDER BY u.nspname, u.relname, u.index_name NULLS FIRST
