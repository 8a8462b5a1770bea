-- name: optimize_table
-- engine: sqlite >= 3.35
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: statement
-- transaction: none
-- lock: EXCLUSIVE
-- max_execution_time: 7200
-- privileges: [WRITE]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier, default: null, description: "of no effect but that it must exist: VACUUM knows no single tables"}
-- returns:
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   dead_rows_before: first(find.dead_rows)
--   dead_rows_after: first(verify.dead_rows)
-- examples: [{params: {schema: main}}]
--
-- VACUUM. SQLite cannot rewrite one table: whatever table is named, the WHOLE FILE is rewritten, all tables and indexes
-- packed and the free pages given back. It needs up to twice the size of the file as free disk space (a temporary copy,
-- and the journal or WAL), nobody can write meanwhile, readers wait at the end unless the file is in WAL mode, and it
-- fails with "database is locked" behind an open reader. Rows of tables without INTEGER PRIMARY KEY get NEW ROWIDS: an
-- application that keeps rowids of such tables must not have this run. In WAL mode the file on disk shrinks with the next
-- checkpoint: run checkpoint_wal afterwards. Where auto_vacuum is incremental, incremental_vacuum is the gentler tool.

-- find: the file as it stands (no row when the table asked for does not exist); SQLite keeps no dead rows
SELECT c.page_count * s.page_size AS bytes,
       c.page_count AS pages,
       f.freelist_count AS free_pages,
       NULL AS dead_rows
  FROM pragma_page_count AS c, pragma_page_size AS s, pragma_freelist_count AS f
 WHERE :table IS NULL
    OR EXISTS (SELECT 1 FROM {schema}.sqlite_schema AS o WHERE o.type = 'table' AND o.name = :table)

-- do: the whole file, into a temporary one and back
VACUUM {schema}

-- verify: no free page left and the file no larger; or smaller, when a writer has freed pages since
SELECT f.freelist_count = 0 AND c.page_count <= :pages OR c.page_count < :pages AS ok,
       c.page_count * s.page_size AS bytes,
       c.page_count AS pages,
       f.freelist_count AS free_pages,
       NULL AS dead_rows
  FROM pragma_page_count AS c, pragma_page_size AS s, pragma_freelist_count AS f
