-- name: calculate_backup_size
-- engine: sqlite >= 3.35
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 60
-- idempotent: true
-- returns:
--   bytes: first(size.bytes)
-- examples: [{params: {}}]
--
-- How large a full backup will be: the file without what its write-ahead log has yet to bring.

-- size: pages by their size
SELECT c.page_count * s.page_size AS bytes FROM pragma_page_count AS c, pragma_page_size AS s
