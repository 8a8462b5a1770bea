-- name: batch_update_statistics
-- engine: mysql >= 8 without innodb_stats, mariadb >= 10.6 without innodb_stats
-- category: maintenance
-- risk: low
-- capabilities: [database_read, schema_analyze]
-- runs: each
-- transaction: none
-- lock: MDL SHARED READ
-- max_execution_time: 1800
-- privileges: [SELECT, INSERT]
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list}
--   binlog: {type: keyword, enum: ["", LOCAL], default: "", description: "LOCAL keeps the statement out of the binary log, and so off the replicas"}
-- returns:
--   statistics_updated: count(ok)
--   skipped: rows(skipped, report)
--   failed: rows(failed)
-- examples: [{params: {tables: [{schema: shop, table: orders}]}}]
--
-- Update the statistics of the named tables with ANALYZE TABLE, one after the other. This role may not read
-- mysql.innodb_table_stats, so it could not be verified which tables of a list were analyzed.
--
-- InnoDB reads 20 random pages of each index (innodb_stats_persistent_sample_pages), so it takes milliseconds whatever the
-- size, and reads and writes continue; MyISAM and Aria read every index to the end, and writes wait. It commits implicitly, and
-- is written to the binary log unless `binlog` is LOCAL. On MySQL before 8.0.24 new statements on the table may queue behind a
-- long query that was running when ANALYZE began. Histograms (MySQL) and engine-independent statistics (MariaDB) are not
-- updated.
--
-- What `verify` proves: only that the table exists and is readable; the server's answer, whose rows are read, is the only
-- evidence. Needs SELECT and INSERT on the tables.

-- find: the named tables whose engine keeps statistics
WITH
-- include: named
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`, t.ENGINE AS storage,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created
  FROM information_schema.TABLES AS t
  JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND t.ENGINE IN ('InnoDB', 'MyISAM', 'Aria')
 ORDER BY t.TABLE_NAME

-- include: same_name

-- do: row counts and cardinalities
ANALYZE {binlog} TABLE {schema}.{table}

-- verify: the table exists; nothing more can be verified
SELECT 1 AS ok, 'the server''s answer only' AS evidence
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND t.ENGINE IS NOT NULL

-- report: named objects without statistics to update
-- include: statistics_report
