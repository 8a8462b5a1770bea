-- name: rebuild_table
-- engine: sqlite >= 3.35
-- category: maintenance
-- risk: high
-- capabilities: [database_read, database_write]
-- runs: statement
-- transaction: none
-- lock: EXCLUSIVE
-- max_execution_time: 7200
-- privileges: [WRITE]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
-- returns:
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   dead_rows_before: first(find.dead_rows)
--   dead_rows_after: first(verify.dead_rows)
-- examples: [{params: {schema: main, table: orders}}]
--
-- Rewrite a table with VACUUM, which rewrites the whole database file. SQLite has no statement that rewrites a single table, so
-- the WHOLE FILE is rewritten, with everything that optimize_table says about space (twice the file), locks (no writers
-- meanwhile, no readers at the end) and new rowids for rows of tables without INTEGER PRIMARY KEY. Planned on request only;
-- optimize_table does the same.

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
