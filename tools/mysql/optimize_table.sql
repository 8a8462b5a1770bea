-- name: optimize_table
-- engine: mysql >= 8, mariadb >= 10.6
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: statement
-- transaction: none
-- lock: MDL SHARED UPGRADABLE, brief EXCLUSIVE
-- max_execution_time: 7200
-- privileges: [SELECT, INSERT]
-- idempotent: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
--   binlog: {type: keyword, enum: ["", LOCAL], default: "", description: "LOCAL keeps the statement out of the binary log, and so off the replicas"}
-- returns:
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   bytes_method: {from: first(find.bytes_method), description: "'file size', exact, or 'statistics'"}
--   dead_rows_before: first(find.dead_rows)
--   dead_rows_after: first(verify.dead_rows)
--   reported: rows(report)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- Rebuild one InnoDB table and its indexes with OPTIMIZE TABLE while reads and writes continue. Writes a packed copy into a new
-- file and updates the statistics. The server answers "Table does not support optimize, doing recreate + analyze instead",
-- which is success. Only at the start and at the end do other sessions wait for an exclusive metadata lock; behind a long
-- transaction on the table that wait is limited by the lock timeout. Needs free disk space of the size of the table, plus a log
-- of the changes made meanwhile (innodb_online_alter_log_max_size, 128 MB by default: on a busier table it fails and nothing
-- changes). A table with a FULLTEXT index is copied instead, and writes wait for that long. It commits implicitly, and is
-- written to the binary log unless `binlog` is LOCAL: a replica that applies it lags by as long as it takes.
--
-- MyISAM and Aria tables are left alone, because their OPTIMIZE blocks reads and writes until it is done: use
-- optimize_offline_table. System-versioned tables (MariaDB) refuse it: use rebuild_table.
--
-- What `verify` proves: CREATE_TIME has changed, or is less than 2 seconds old (its resolution is one second). So with
-- innodb_optimize_fulltext_only or innodb_defragment, where OPTIMIZE answers "OK" and rewrites nothing, the step fails. Needs
-- SELECT and INSERT on the table.

-- find: the table
WITH
-- include [mariadb with process]: file_mariadb
-- include [mysql with process]: file_mysql
-- include [without process]: file_unseen
-- include: table_as_it_stands
   AND t.TABLE_TYPE = 'BASE TABLE'
   AND t.ENGINE = 'InnoDB'

-- include: same_name

-- do: a packed copy replaces the table
OPTIMIZE {binlog} TABLE {schema}.{table}

-- verify: the table has been rebuilt
WITH
-- include [mariadb with process]: file_mariadb
-- include [mysql with process]: file_mysql
-- include [without process]: file_unseen
-- include: table_made_anew

-- report: why a table of another engine was left alone
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`,
       CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'a view has no data of its own'
            WHEN t.ENGINE IS NULL THEN CONCAT('the server cannot open the table: ', t.TABLE_COMMENT)
            WHEN t.TABLE_TYPE = 'SYSTEM VERSIONED' AND t.ENGINE = 'InnoDB' THEN 'system-versioned tables refuse OPTIMIZE: use rebuild_table'
            WHEN t.ENGINE IN ('MyISAM', 'Aria') THEN CONCAT(t.ENGINE, ': use optimize_offline_table, which blocks the table meanwhile')
            ELSE CONCAT('the engine ', t.ENGINE, ' cannot rebuild a table online') END AS reason
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND COALESCE(t.TABLE_ROWS, 0) >= 0  -- makes the server open the table, since its definition alone may be sound
   AND NOT (t.ENGINE <=> 'InnoDB' AND t.TABLE_TYPE = 'BASE TABLE')
