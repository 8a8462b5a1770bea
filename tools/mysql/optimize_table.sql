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
--   binlog: {type: keyword, enum: ["", LOCAL], default: "", description: "LOCAL keeps the statement out of the binary log and so off the replicas"}
-- returns:
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   bytes_method: {from: first(find.bytes_method), description: "'file size', exact, or 'statistics'"}
--   dead_rows_before: first(find.dead_rows)
--   dead_rows_after: first(verify.dead_rows)
--   reported: rows(report)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- OPTIMIZE of one InnoDB table: the table and all its indexes are written anew, packed, into a new file, and their
-- statistics refreshed. The server answers "Table does not support optimize, doing recreate + analyze instead", which
-- is success. Reads and writes go on; only at the start and at the end everything waits for an exclusive metadata
-- lock, and behind a long transaction on the table that wait is bounded by the lock timeout. It needs the size of the
-- table once more on the disk, plus a log of the changes made meanwhile (innodb_online_alter_log_max_size, 128 MB by
-- default: a busier table makes it fail and nothing is changed). A table with a FULLTEXT index is copied instead, and
-- writes wait for that long. It commits implicitly, and goes to the binary log unless `binlog` is LOCAL: a replica
-- that applies it lags by as long as it takes.
--
-- MyISAM and Aria tables are not touched, because their OPTIMIZE blocks reads and writes until it is done:
-- optimize_offline_table does them. System-versioned tables (MariaDB) refuse it: rebuild_table does them.
--
-- What `verify` proves: CREATE_TIME is another one than before, or younger than 2 seconds (its resolution is one
-- second). So with innodb_optimize_fulltext_only or innodb_defragment, where OPTIMIZE answers "OK" and rewrites
-- nothing, the step fails rather than lie. Needs SELECT and INSERT on the table.

-- find: the table as it stands
WITH
-- include [mariadb with process]: file_mariadb
-- include [mysql with process]: file_mysql
-- include [without process]: file_unseen
-- include: table_as_it_stands
   AND t.TABLE_TYPE = 'BASE TABLE'
   AND t.ENGINE = 'InnoDB'

-- include: same_name

-- do: a new, packed copy takes the table's place
OPTIMIZE {binlog} TABLE {schema}.{table}

-- verify: the table was made anew
WITH
-- include [mariadb with process]: file_mariadb
-- include [mysql with process]: file_mysql
-- include [without process]: file_unseen
-- include: table_made_anew

-- report: why a table of another engine was not worked on
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`,
       CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'a view has no data of its own'
            WHEN t.ENGINE IS NULL THEN CONCAT('the server cannot open the table: ', t.TABLE_COMMENT)
            WHEN t.TABLE_TYPE = 'SYSTEM VERSIONED' AND t.ENGINE = 'InnoDB' THEN 'system-versioned tables refuse OPTIMIZE: use rebuild_table'
            WHEN t.ENGINE IN ('MyISAM', 'Aria') THEN CONCAT(t.ENGINE, ': use optimize_offline_table, which blocks the table meanwhile')
            ELSE CONCAT('the engine ', t.ENGINE, ' cannot rebuild a table online') END AS reason
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND COALESCE(t.TABLE_ROWS, 0) >= 0  -- makes the server open the table: its definition alone can be sound
   AND NOT (t.ENGINE <=> 'InnoDB' AND t.TABLE_TYPE = 'BASE TABLE')
