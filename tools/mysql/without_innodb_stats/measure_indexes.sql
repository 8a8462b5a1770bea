-- name: measure_indexes
-- engine: mysql >= 8 without innodb_stats, mariadb >= 10.6 without innodb_stats
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 120
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list}
-- returns:
--   indexes: rows(indexes)
-- examples: [{params: {tables: [{schema: shop, table: orders}]}}]
--
-- List the secondary indexes of the named tables without figures, one row per table. This role may not read
-- mysql.innodb_index_stats, and nothing else shows how fragmented an index is. InnoDB can rebuild the secondary indexes of a
-- table only all together, so they are one row, with the columns that rebuild_fragmented_indexes uses;
-- analyze_index_fragmentation lists the single indexes. Needs SELECT on the tables (any privilege makes them visible).

-- indexes: one row per named InnoDB table that has secondary indexes
WITH
-- include: named,
listed AS (
    SELECT CAST(x.TABLE_NAME AS BINARY(256)) AS name, COUNT(DISTINCT x.INDEX_NAME) AS indexes
      FROM information_schema.STATISTICS AS x
      JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows to build a key for the join
     WHERE x.TABLE_SCHEMA = DATABASE() AND x.INDEX_NAME <> 'PRIMARY'
     GROUP BY CAST(x.TABLE_NAME AS BINARY(256))
)
SELECT t.TABLE_SCHEMA AS `schema`,
       t.TABLE_NAME AS `table`,
       CONCAT('all indexes of ', t.TABLE_NAME) AS index_name,
       l.indexes AS index_count,
       CAST(t.INDEX_LENGTH AS SIGNED) AS bytes,
       'statistics' AS bytes_method,
       NULL AS fragmentation,
       NULL AS definition,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created,
       NULL AS fragmentation_percent,
       NULL AS method,
       NULL AS reclaimable_bytes,
       'the fragmentation of indexes is only in mysql.innodb_index_stats: grant SELECT on it' AS withheld
  FROM information_schema.TABLES AS t
  JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
  JOIN listed AS l ON l.name = CAST(t.TABLE_NAME AS BINARY(256))
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.ENGINE = 'InnoDB'
 ORDER BY t.INDEX_LENGTH DESC, t.TABLE_NAME
