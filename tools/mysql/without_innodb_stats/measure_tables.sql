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
--   max_bytes: {type: integer, default: null, minimum: 0, description: "has no effect: nothing is read"}
-- returns:
--   tables: rows(tables)
-- examples: [{params: {tables: [{schema: shop, table: orders}]}}]
--
-- Estimate the share of the named tables that a rewrite would free, from statistics. No table is read, so it takes the same
-- time whatever their size, and `max_bytes` has no effect. The statistics are as old as the last ANALYZE or automatic
-- recalculation; if the row count has moved away from them by more than a fifth, the figure is withheld. `error_points` says
-- how far the true share may lie BELOW the figure. Needs SELECT on the tables (any privilege makes them visible).
--
-- Without SELECT on mysql.innodb_index_stats only DATA_FREE is available, and it counts whole free extents: it stayed at 7-9 MB
-- when 90 % of the rows were deleted and OPTIMIZE shrank the file from 64 to 7 MB (MariaDB 10.11). So there is a figure only if
-- free extents beyond the usual 8 MB make up a tenth of the table, and it is a lower bound; otherwise the figure is withheld.

-- tables: one row per named table that exists
WITH
-- include: named,
figure AS (
    -- include: figure_columns_extents
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
