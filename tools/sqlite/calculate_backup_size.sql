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
-- Estimate the size of a full backup: the size of the database without the part of the write-ahead log not yet checkpointed.

-- size: number of pages times page size
SELECT c.page_count * s.page_size AS bytes FROM pragma_page_count AS c, pragma_page_size AS s
