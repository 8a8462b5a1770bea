-- Blocks that take a snapshot of a database and find its position in the binary log.

-- unlimited_mariadb: no time limit for reading a large table
SET SESSION max_statement_time = 0

-- unlimited_mysql: no time limit for reading a large table
SET SESSION max_execution_time = 0

-- isolation: of the next transaction only
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- snapshot: all following reads see this point in time
START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY

-- moment: the position of the snapshot in the binary log; not available on MySQL, or on MariaDB without a binary log
SHOW STATUS LIKE 'binlog_snapshot_%'

-- release: end the snapshot
ROLLBACK

-- settings: of the server, and its time
SELECT @@log_bin AS binary_log, @@global.binlog_format AS format, @@lower_case_table_names <> 0 AS fold,
       DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ') AS now

-- grants: of the account, including its roles
SHOW GRANTS
