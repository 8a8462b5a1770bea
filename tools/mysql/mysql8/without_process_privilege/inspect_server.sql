-- name: inspect_server
-- engine: mysql >= 8 without process
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- returns:
--   server: object(server)
-- examples: [{params: {}}]
--
-- Describe the server and the connected database, from catalog and status. No table is read. `database_bytes` opens each table
-- once.
--
-- `identity` consists of server_uuid (in auto.cnf of the data directory: a file copy of the server has the same one), host
-- name, port, server_id, data directory and database. `standby` is true on a server with super_read_only, where nothing can be
-- written, not even by ANALYZE or LOCAL statements; whether the server replicates is not visible without privileges.
-- `replica_lag_seconds` is NULL: only SHOW REPLICA STATUS knows it, which is not a query over tables.
-- `oldest_transaction_seconds` is NULL: other sessions' transactions need PROCESS, which this role lacks.

-- server: one row
WITH size AS (
    SELECT CAST(SUM(COALESCE(t.DATA_LENGTH, 0) + COALESCE(t.INDEX_LENGTH, 0)
                    + CASE WHEN t.ENGINE = 'InnoDB' AND @@innodb_file_per_table THEN COALESCE(t.DATA_FREE, 0) ELSE 0 END) AS SIGNED) AS bytes
      FROM information_schema.TABLES AS t
     WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256)) AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
), status AS (
    SELECT MAX(CASE WHEN s.VARIABLE_NAME = 'Threads_running' THEN CAST(s.VARIABLE_VALUE AS SIGNED) END) AS running,
           MAX(CASE WHEN s.VARIABLE_NAME = 'Uptime' THEN CAST(s.VARIABLE_VALUE AS SIGNED) END) AS uptime
      FROM performance_schema.global_status AS s
     WHERE s.VARIABLE_NAME IN ('Threads_running', 'Uptime')
)
SELECT DATABASE() AS `database`,
       CURRENT_USER() AS user_name,
       EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES AS u
                WHERE u.PRIVILEGE_TYPE = 'SUPER'
                  AND u.GRANTEE = CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH(REPLACE(CURRENT_USER(), '@', ''))), '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')) AS superuser,
       @@global.super_read_only AS standby,
       @@global.read_only OR @@global.super_read_only OR @@global.transaction_read_only AS read_only,
       CONCAT_WS('/', @@server_uuid, @@hostname, @@port, @@server_id, @@datadir, DATABASE()) AS identity,
       size.bytes AS database_bytes,
       @@datadir AS data_directory,
       NULL AS oldest_transaction_seconds,
       NULL AS oldest_transaction,
       NULL AS replica_lag_seconds,
       GREATEST(0, st.running - 1) AS active_sessions,
       NULL AS freeze_age_percent,
       DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ') AS now,
       NULL AS replica,
       @@log_bin AS binary_log,
       @@innodb_page_size AS page_size,
       st.uptime AS uptime_seconds
  FROM size
  JOIN status AS st
