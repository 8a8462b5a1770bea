-- name: optimize_offline_table
-- engine: mysql >= 8, mariadb >= 10.6
-- category: maintenance
-- risk: high
-- capabilities: [database_read, database_write]
-- runs: statement
-- transaction: none
-- lock: MDL SHARED NO READ WRITE
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
--   dead_rows_before: first(find.dead_rows)
--   dead_rows_after: first(verify.dead_rows)
--   reported: rows(report)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- Optimize one MyISAM or Aria table: close the holes in the data file, sort the index pages and update the statistics. READS
-- AND WRITES WAIT until it is done (measured on MariaDB 10.11: a point SELECT waited for the whole 1.8 seconds of a 100 MB
-- table). MyISAM and Aria do not stop at a time limit or a KILL once they have begun. A crash in the middle leaves the table
-- marked as crashed. Needs free disk space of the size of the table, and is written to the binary log unless `binlog` is LOCAL.
--
-- What `verify` proves: CHECK_TIME or UPDATE_TIME has changed, or the data file has no hole left (a table without holes answers
-- "Table is already up to date" and does not change). Aria tables with row format PAGE never show holes: there the server's
-- answer is the only evidence. Needs SELECT and INSERT on the table.

-- find: the table; DATA_LENGTH includes the holes
SELECT CAST(COALESCE(t.DATA_LENGTH, 0) + COALESCE(t.INDEX_LENGTH, 0) AS SIGNED) AS bytes,
       DATE_FORMAT(CONVERT_TZ(t.CHECK_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS checked,
       DATE_FORMAT(CONVERT_TZ(t.UPDATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS updated,
       NULL AS dead_rows, DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND t.ENGINE IN ('MyISAM', 'Aria')

-- include: same_name

-- do: close the holes, sort the indexes
OPTIMIZE {binlog} TABLE {schema}.{table}

-- verify: the files have changed, or there is no hole to close
SELECT t.ENGINE IS NOT NULL
       AND (NOT (DATE_FORMAT(CONVERT_TZ(t.CHECK_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') <=> :checked) OR NOT (DATE_FORMAT(CONVERT_TZ(t.UPDATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') <=> :updated) OR t.DATA_FREE = 0) AS ok,
       CAST(COALESCE(t.DATA_LENGTH, 0) + COALESCE(t.INDEX_LENGTH, 0) AS SIGNED) AS bytes,
       NULL AS dead_rows
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))

-- report: why a table of another engine was left alone
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`,
       CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'a view has no data of its own'
            WHEN t.ENGINE IS NULL THEN CONCAT('the server cannot open the table: ', t.TABLE_COMMENT)
            WHEN t.ENGINE = 'InnoDB' THEN 'InnoDB: use optimize_table, which does not block'
            ELSE CONCAT('the engine ', t.ENGINE, ' has nothing to optimize') END AS reason
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND COALESCE(t.TABLE_ROWS, 0) >= 0  -- makes the server open the table, since its definition alone may be sound
   AND NOT (COALESCE(t.ENGINE, '') IN ('MyISAM', 'Aria'))
