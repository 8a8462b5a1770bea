-- name: calculate_backup_size
-- engine: mysql >= 8, mariadb >= 10.6
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
-- Estimate the maximum size of a full backup: the rows of all tables according to the statistics, without indexes. A dump
-- contains no indexes. Compressed, it is usually a fraction of that.

-- size: rows only
SELECT CAST(COALESCE(SUM(t.DATA_LENGTH), 0) AS SIGNED) AS bytes
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
