-- Blocks that take a snapshot of a database and say which moment of the binary log it is.

-- isolation: of the next transaction alone
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- snapshot: what is read from now on is of this moment
START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY

-- moment: where in the binary log the snapshot lies; MySQL does not tell, nor does MariaDB without a binary log
SHOW STATUS LIKE 'binlog_snapshot_%'

-- release: the snapshot
ROLLBACK

-- settings: of the server, and its time
SELECT @@log_bin AS binary_log, @@global.binlog_format AS format,
       DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ') AS now

-- grants: of the account, roles included
SHOW GRANTS
