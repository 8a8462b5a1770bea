-- Blocks that take a snapshot of a database and say which moment of the binary log it is.

-- unlimited_mariadb: reading a large table takes as long as it takes
SET SESSION max_statement_time = 0

-- unlimited_mysql: the same
SET SESSION max_execution_time = 0

-- isolation: of the next transaction alone
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- snapshot: what is read from now on is of this moment
START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY

-- moment: where in the binary log the snapshot lies; MySQL does not tell, nor does MariaDB without a binary log
SHOW STATUS LIKE 'binlog_snapshot_%'

-- release: the snapshot
ROLLBACK

-- settings: of the server, and its time
SELECT @@log_bin AS binary_log, @@global.binlog_format AS format, @@lower_case_table_names <> 0 AS fold,
       DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ') AS now

-- grants: of the account, roles included
SHOW GRANTS
