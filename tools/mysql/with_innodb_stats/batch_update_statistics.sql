-- name: batch_update_statistics
-- engine: mysql >= 8 with innodb_stats, mariadb >= 10.6 with innodb_stats
-- category: maintenance
-- risk: low
-- capabilities: [database_read, schema_analyze]
-- runs: each
-- transaction: none
-- lock: MDL SHARED READ
-- max_execution_time: 1800
-- privileges: [SELECT, INSERT]
-- idempotent: true
-- group: 100
-- parameters:
--   tables: {type: identifier_list}
--   binlog: {type: keyword, enum: ["", LOCAL], default: "", description: "LOCAL keeps the statement out of the binary log, and so off the replicas"}
-- returns:
--   statistics_updated: count(ok)
--   skipped: rows(skipped, report)
--   failed: rows(failed)
-- examples: [{params: {tables: [{schema: shop, table: orders}]}}]
--
-- Update the statistics of the named tables with ANALYZE TABLE, a hundred tables per statement. 2,000 tables take about half a
-- second. A table that is missing or locked fails alone; the server continues with the next.
--
-- InnoDB reads 20 random pages of each index (innodb_stats_persistent_sample_pages), so it takes milliseconds whatever the
-- size, and reads and writes continue; MyISAM and Aria read every index to the end, and writes wait. It commits implicitly, and
-- is written to the binary log unless `binlog` is LOCAL. On MySQL before 8.0.24 new statements on the table may queue behind a
-- long query that was running when ANALYZE began. Histograms (MySQL) and engine-independent statistics (MariaDB) are not
-- updated.
--
-- What `verify` proves, table by table: mysql.innodb_table_stats.last_update has changed, or is at most 2 seconds old. MyISAM,
-- Aria and tables with STATS_PERSISTENT=0 leave no trace in the catalog; there the server's answer is the only evidence.
--
-- Needs SELECT and INSERT on the tables, and SELECT on mysql.innodb_table_stats.

-- find: the named tables whose engine keeps statistics, the oldest statistics first
WITH
-- include: named,
held AS (
    -- The table's statistics are under its own name, or under that of its first partition.
    SELECT CAST(CASE WHEN LOCATE('#P#', REPLACE(n.table_name, '#p#', '#P#')) > 0
                THEN CONCAT(SUBSTRING_INDEX(REPLACE(n.table_name, '#p#', '#P#'), '#P#', 1), '#P#') ELSE n.table_name END AS BINARY(256)) AS name,
           MIN(n.table_name) AS statistics_name
      FROM mysql.innodb_table_stats AS n
     WHERE n.database_name = DATABASE()
     GROUP BY 1
)
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`, t.ENGINE AS storage, DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created,
       n.table_name AS statistics_name,
       UNIX_TIMESTAMP(n.last_update) AS analyzed
  FROM information_schema.TABLES AS t
  JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
  LEFT JOIN held AS h ON h.name = CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256))
  LEFT JOIN mysql.innodb_table_stats AS n ON n.database_name = DATABASE() AND n.table_name = h.statistics_name
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND t.ENGINE IN ('InnoDB', 'MyISAM', 'Aria')
 ORDER BY n.last_update, t.TABLE_NAME

-- include: same_name

-- do: row counts and cardinalities of up to a hundred tables
ANALYZE {binlog} TABLE {group}

-- verify: one row per table of the group: its statistics have been written again
SELECT j.schema_name AS `schema`, j.table_name AS `table`,
       CASE WHEN j.statistics_name IS NULL THEN 1
            ELSE n.last_update IS NOT NULL
                 AND (NOT (UNIX_TIMESTAMP(n.last_update) <=> j.analyzed) OR n.last_update >= NOW() - INTERVAL 2 SECOND) END AS ok,
       CASE WHEN j.statistics_name IS NULL THEN 'the server''s answer only' ELSE 'innodb_table_stats.last_update' END AS evidence
  FROM JSON_TABLE(:group, '$[*]' COLUMNS (schema_name VARCHAR(64) CHARACTER SET utf8mb4 PATH '$.schema',
                                          table_name VARCHAR(64) CHARACTER SET utf8mb4 PATH '$.table',
                                          statistics_name VARCHAR(199) CHARACTER SET utf8mb4 PATH '$.statistics_name',
                                          analyzed BIGINT PATH '$.analyzed')) AS j
  LEFT JOIN mysql.innodb_table_stats AS n ON n.database_name = CONVERT(j.schema_name USING utf8mb3) COLLATE utf8mb3_bin
       AND n.table_name = CONVERT(j.statistics_name USING utf8mb3) COLLATE utf8mb3_bin

-- report: named objects without statistics to update
-- include: statistics_report
