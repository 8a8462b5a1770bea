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
-- How large a full backup may get: the rows of all tables as the statistics have them, without indexes, which a dump does not
-- hold. Compressed it is mostly a fraction of that.

-- size: rows only
SELECT CAST(COALESCE(SUM(t.DATA_LENGTH), 0) AS SIGNED) AS bytes
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
