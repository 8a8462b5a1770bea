-- name: update_table_statistics
-- engine: mysql >= 8 with innodb_stats, mariadb >= 10.6 with innodb_stats
-- category: maintenance
-- risk: low
-- capabilities: [database_read, schema_analyze]
-- runs: statement
-- transaction: none
-- lock: MDL SHARED READ
-- max_execution_time: 1800
-- privileges: [SELECT, INSERT]
-- idempotent: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
--   binlog: {type: keyword, enum: ["", LOCAL], default: "", description: "LOCAL keeps the statement out of the binary log, and so off the replicas"}
-- returns:
--   statistics_updated: count(ok)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- Update the statistics of one table with ANALYZE TABLE: row counts and index cardinalities for the optimizer.
--
-- InnoDB reads 20 random pages of each index (innodb_stats_persistent_sample_pages), so it takes milliseconds whatever the
-- size, and reads and writes continue; MyISAM and Aria read every index to the end, and writes wait. It commits implicitly, and
-- is written to the binary log unless `binlog` is LOCAL. On MySQL before 8.0.24 new statements on the table may queue behind a
-- long query that was running when ANALYZE began. Histograms (MySQL) and engine-independent statistics (MariaDB) are not
-- updated.
--
-- What `verify` proves: mysql.innodb_table_stats.last_update has changed, or is at most 2 seconds old (its resolution is one
-- second). That matters: on a damaged InnoDB table ANALYZE answered "OK" and wrote nothing (MariaDB 10.11). MyISAM, Aria and
-- tables with STATS_PERSISTENT=0 leave no trace in the catalog; there the server's answer is the only evidence, and the column
-- `evidence` says so.
--
-- Needs SELECT and INSERT on the table, and SELECT on mysql.innodb_table_stats.

-- find: the table, if its engine keeps statistics
WITH held AS (
    -- The oldest of the table's partitions; a table with STATS_PERSISTENT=0 has no row.
    SELECT MIN(UNIX_TIMESTAMP(n.last_update)) AS analyzed
      FROM mysql.innodb_table_stats AS n
     WHERE n.database_name = CONVERT(:schema USING utf8mb3) AND (n.table_name = CONVERT(:table USING utf8mb3)
                    OR LEFT(REPLACE(n.table_name, '#p#', '#P#'), CHAR_LENGTH(:table) + 3) = CONCAT(CONVERT(:table USING utf8mb3), '#P#'))
)
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`, t.ENGINE AS storage, h.analyzed AS analyzed,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created
  FROM information_schema.TABLES AS t
  LEFT JOIN held AS h ON t.ENGINE = 'InnoDB'
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND t.ENGINE IN ('InnoDB', 'MyISAM', 'Aria')

-- include: same_name

-- do: row counts and cardinalities
ANALYZE {binlog} TABLE {schema}.{table}

-- verify: the statistics have been written again
WITH held AS (
    -- The oldest of the table's partitions; a table with STATS_PERSISTENT=0 has no row.
    SELECT MIN(UNIX_TIMESTAMP(n.last_update)) AS analyzed
      FROM mysql.innodb_table_stats AS n
     WHERE n.database_name = CONVERT(:schema USING utf8mb3) AND (n.table_name = CONVERT(:table USING utf8mb3)
                    OR LEFT(REPLACE(n.table_name, '#p#', '#P#'), CHAR_LENGTH(:table) + 3) = CONCAT(CONVERT(:table USING utf8mb3), '#P#'))
)
SELECT CASE WHEN t.ENGINE IS NULL THEN 0
            WHEN h.analyzed IS NULL THEN :analyzed IS NULL
            ELSE NOT (h.analyzed <=> :analyzed) OR h.analyzed >= UNIX_TIMESTAMP() - 2 END AS ok,
       CASE WHEN h.analyzed IS NULL THEN 'the server''s answer only' ELSE 'innodb_table_stats.last_update' END AS evidence,
       CAST(t.TABLE_ROWS AS SIGNED) AS `rows`
  FROM information_schema.TABLES AS t
  LEFT JOIN held AS h ON t.ENGINE = 'InnoDB'
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
