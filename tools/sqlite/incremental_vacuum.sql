-- name: incremental_vacuum
-- engine: sqlite >= 3.35
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: statement
-- transaction: none
-- lock: RESERVED
-- max_execution_time: 3600
-- privileges: [WRITE]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier, default: null, description: "must exist, but has no other effect: free pages belong to no table"}
-- returns:
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   dead_rows_before: first(find.dead_rows)
--   dead_rows_after: first(verify.dead_rows)
-- examples: [{params: {schema: main}}]
--
-- Return the free pages of a file with `auto_vacuum = incremental` to the disk. The last pages of the file move into the gaps
-- and the file is truncated, without a rewrite and without twice the space. Half-empty pages stay half-empty, and rowids do not
-- change. Other writers wait meanwhile. In WAL mode the file on disk shrinks at the next checkpoint.

-- find: the file; no row if auto_vacuum is not incremental or there are no free pages
SELECT c.page_count * s.page_size AS bytes,
       c.page_count AS pages,
       f.freelist_count AS free_pages,
       NULL AS dead_rows
  FROM pragma_page_count AS c, pragma_page_size AS s, pragma_freelist_count AS f, pragma_auto_vacuum AS v
 WHERE v.auto_vacuum = 2 AND f.freelist_count > 0
   AND (:table IS NULL
        OR EXISTS (SELECT 1 FROM {schema}.sqlite_schema AS o WHERE o.type = 'table' AND o.name = :table))

-- do: truncate the file, page by page
-- It must be stepped to its end: Python's execute steps once and frees one page, executescript frees them all.
PRAGMA {schema}.incremental_vacuum

-- verify: the free pages are gone, except for a tenth that writers may have freed since
SELECT f.freelist_count * 10 <= :free_pages AND c.page_count < :pages AS ok,
       c.page_count * s.page_size AS bytes,
       c.page_count AS pages,
       f.freelist_count AS free_pages,
       NULL AS dead_rows
  FROM pragma_page_count AS c, pragma_page_size AS s, pragma_freelist_count AS f
