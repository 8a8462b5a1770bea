-- name: inspect_indexes
-- engine: mysql >= 8 without innodb_stats, mariadb >= 10.6 without innodb_stats
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 120
-- idempotent: true
-- returns:
--   indexes: rows(indexes)
-- examples: [{params: {}}]
--
-- List the secondary indexes of the connected database without figures, one row per table. This role may not read
-- mysql.innodb_index_stats. InnoDB can rebuild the secondary indexes of a table only all together, so they are one row, with
-- the columns that rebuild_fragmented_indexes uses; analyze_index_fragmentation lists the single indexes. Needs SELECT on the
-- tables (any privilege makes them visible).

-- indexes: one row per InnoDB table that has secondary indexes
SELECT t.TABLE_SCHEMA AS `schema`,
       t.TABLE_NAME AS `table`,
       CONCAT('all indexes of ', t.TABLE_NAME) AS index_name,
       CAST(t.INDEX_LENGTH AS SIGNED) AS bytes,
       1 AS valid,
       NULL AS fragmentation_percent,
       NULL AS method,
       NULL AS reclaimable_bytes,
       'the fragmentation of indexes is only in mysql.innodb_index_stats: grant SELECT on it' AS withheld
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.ENGINE = 'InnoDB'
   AND t.INDEX_LENGTH > 0
 ORDER BY t.TABLE_NAME
