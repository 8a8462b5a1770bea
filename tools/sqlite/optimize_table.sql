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
--   table: {type: identifier, default: null, description: "must exist, but has no other effect: VACUUM always rewrites the whole file"}
-- returns:
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   dead_rows_before: first(find.dead_rows)
--   dead_rows_after: first(verify.dead_rows)
-- examples: [{params: {schema: main}}]
--
-- Rewrite the whole database file with VACUUM and return free space to the disk. SQLite cannot rewrite a single table:
-- whichever table is named, the WHOLE FILE is rewritten, all tables and indexes are packed and the free pages returned. It
-- needs free disk space of up to twice the size of the file (a temporary copy, and the journal or WAL). No other connection can
-- write meanwhile, readers wait at the end unless the file is in WAL mode, and behind an open reader it fails with "database is
-- locked". Rows of tables without INTEGER PRIMARY KEY may get NEW ROWIDS: do not run this if the application stores rowids of
-- such tables. In WAL mode the file on disk shrinks at the next checkpoint: run checkpoint_wal afterwards. If auto_vacuum is
-- incremental, incremental_vacuum is the gentler tool.

-- find: the file (no row if the named table does not exist); SQLite has no dead rows
SELECT c.page_count * s.page_size AS bytes,
       c.page_count AS pages,
       f.freelist_count AS free_pages,
       NULL AS dead_rows
  FROM pragma_page_count AS c, pragma_page_size AS s, pragma_freelist_count AS f
 WHERE :table IS NULL
    OR EXISTS (SELECT 1 FROM {schema}.sqlite_schema AS o WHERE o.type = 'table' AND o.name = :table)

-- do: rewrite the whole file by way of a temporary one
VACUUM {schema}

-- verify: no free page is left and the file is no larger; or it is smaller, if a writer has freed pages since
SELECT f.freelist_count = 0 AND c.page_count <= :pages OR c.page_count < :pages AS ok,
       c.page_count * s.page_size AS bytes,
       c.page_count AS pages,
       f.freelist_count AS free_pages,
       NULL AS dead_rows
  FROM pragma_page_count AS c, pragma_page_size AS s, pragma_freelist_count AS f
