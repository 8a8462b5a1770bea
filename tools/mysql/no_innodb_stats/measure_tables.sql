-- name: measure_tables
-- engine: mysql >= 8 without innodb_stats, mariadb >= 10.6 without innodb_stats
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 120
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list}
--   max_bytes: {type: integer, default: null, minimum: 0, description: "of no effect: nothing is read"}
-- returns:
--   tables: rows(tables)
-- examples: [{params: {tables: [{schema: shop, table: orders}]}}]
--
-- The reclaimable share of the named tables, from statistics: no table is read, so a measurement costs the same
-- whatever their size, and `max_bytes` limits nothing here. The statistics are as old as the last ANALYZE or automatic
-- recalculation; when the row count has moved away from them by more than a fifth the figure is withheld.
-- `error_points` says how far the true share may lie BELOW the figure. Needs SELECT on the tables (any privilege makes
-- them visible).
--
-- Without SELECT on mysql.innodb_index_stats only DATA_FREE is left, and it counts whole free extents: it stayed at
-- 7-9 MB when 90 % of the rows were deleted and OPTIMIZE shrank the file from 64 to 7 MB (MariaDB 10.11). So there is
-- a figure only when free extents beyond the usual 8 MB make up a tenth of the table, and it is a lower bound; else
-- the figure is withheld.

-- tables: one row per named table that exists
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 would lose most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(:tables, '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
), figure AS (
    SELECT t.*,
           CASE WHEN t.ENGINE IS NULL THEN CONCAT('the server cannot open the table: ', t.TABLE_COMMENT)
            WHEN t.ENGINE = 'Aria' AND t.ROW_FORMAT = 'Page' THEN 'Aria does not tell how full its pages are (DATA_FREE is always 0)'
            WHEN t.ENGINE NOT IN ('InnoDB', 'MyISAM', 'Aria') THEN CONCAT('nothing is known about free space in ', t.ENGINE)
            WHEN t.ENGINE <> 'InnoDB' THEN NULL
            WHEN NOT @@innodb_file_per_table THEN 'tables share one tablespace: DATA_FREE belongs to all of them'
            WHEN CAST(t.DATA_FREE AS SIGNED) - 8388608 < CAST(COALESCE(t.DATA_LENGTH + t.INDEX_LENGTH + CASE WHEN t.ENGINE = 'InnoDB' THEN t.DATA_FREE ELSE 0 END, 0) AS SIGNED) / 10
            THEN 'only whole free extents can be seen, and they are few: grant SELECT on mysql.innodb_index_stats for a figure' END AS withheld,
           CAST(COALESCE(t.DATA_LENGTH + t.INDEX_LENGTH + CASE WHEN t.ENGINE = 'InnoDB' THEN t.DATA_FREE ELSE 0 END, 0) AS SIGNED) AS total,
           CASE WHEN t.ENGINE <> 'InnoDB' THEN t.DATA_FREE
                ELSE GREATEST(0, CAST(t.DATA_FREE AS SIGNED) - 8388608) END AS reclaimable,
           CASE WHEN t.ENGINE = 'InnoDB' THEN 'at least: free extents beyond 8 MB (DATA_FREE)'
                ELSE 'DATA_FREE: holes in the data file, exact; the index file is not counted' END AS method
      FROM information_schema.TABLES AS t
      JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
     WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
       AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
)
SELECT f.TABLE_SCHEMA AS `schema`,
       f.TABLE_NAME AS `table`,
       CASE WHEN f.withheld IS NULL THEN COALESCE(ROUND(100e0 * f.reclaimable / NULLIF(f.total, 0), 1), 0) END AS fragmentation_percent,
       CASE WHEN f.withheld IS NULL THEN f.method END AS method,
       CASE WHEN f.withheld IS NULL THEN CAST(f.reclaimable AS SIGNED) END AS reclaimable_bytes,
       CASE WHEN f.withheld IS NULL THEN CASE WHEN f.ENGINE = 'InnoDB' THEN 10 ELSE 1 END END AS error_points,
       f.withheld AS withheld
  FROM figure AS f
 WHERE COALESCE(:max_bytes, 0) >= 0
 ORDER BY f.TABLE_NAME
