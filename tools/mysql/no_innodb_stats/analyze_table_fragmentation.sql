-- name: analyze_table_fragmentation
-- engine: mysql >= 8 without innodb_stats, mariadb >= 10.6 without innodb_stats
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
-- returns:
--   fragmentation_percent: {from: first(figures.fragmentation_percent), type: [number, "null"]}
--   method: first(figures.method)
--   recommendation: first(figures.recommendation)
--   estimated_benefit: first(figures.estimated_benefit)
--   withheld: first(figures.withheld)
--   table_stats: object(figures)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- How much of one table a rewrite would give back, from statistics; the table itself is not read. Needs SELECT on the
-- tables (any privilege makes them visible).
--
-- Without SELECT on mysql.innodb_index_stats only DATA_FREE is left, and it counts whole free extents: it stayed at
-- 7-9 MB when 90 % of the rows were deleted and OPTIMIZE shrank the file from 64 to 7 MB (MariaDB 10.11). So there is
-- a figure only when free extents beyond the usual 8 MB make up a tenth of the table, and it is a lower bound; else
-- the figure is withheld.

-- figures: one row; none when there is no such table
WITH figure AS (
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
     WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
       AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
       AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
)
SELECT CASE WHEN f.withheld IS NULL THEN COALESCE(ROUND(100e0 * f.reclaimable / NULLIF(f.total, 0), 1), 0) END AS fragmentation_percent,
       CASE WHEN f.withheld IS NULL THEN f.method END AS method,
       CASE WHEN f.withheld IS NULL THEN CAST(f.reclaimable AS SIGNED) END AS estimated_benefit,
       f.withheld AS withheld,
       CASE WHEN f.withheld IS NOT NULL THEN CONCAT('no figure: ', f.withheld)
            WHEN f.total > 0 AND 100 * f.reclaimable / f.total > 20 AND f.reclaimable >= 8388608
            THEN CASE WHEN f.ENGINE = 'InnoDB' THEN 'optimize_table gives the space back; reads and writes go on'
                      ELSE 'optimize_offline_table gives the space back; reads and writes wait meanwhile' END
            WHEN f.total > 0 AND 100 * f.reclaimable / f.total > 20 THEN 'not worth a rewrite: the table is small'
            ELSE 'nothing to do' END AS recommendation,
       f.ENGINE AS storage,
       CAST(f.TABLE_ROWS AS SIGNED) AS `rows`,
       CAST(f.DATA_LENGTH AS SIGNED) AS data_bytes,
       CAST(f.INDEX_LENGTH AS SIGNED) AS index_bytes,
       CAST(f.DATA_FREE AS SIGNED) AS free_extent_bytes,
       f.ROW_FORMAT AS row_format,
       f.CREATE_OPTIONS AS options,
       DATE_FORMAT(CONVERT_TZ(f.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created,
       NULL AS last_analyze
  FROM figure AS f
