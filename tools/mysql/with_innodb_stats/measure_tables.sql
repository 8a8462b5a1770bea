-- name: measure_tables
-- engine: mysql >= 8 with innodb_stats, mariadb >= 10.6 with innodb_stats
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
-- how far the true share may lie BELOW the figure. Needs SELECT on the tables (any privilege makes them visible) and on
-- mysql.innodb_table_stats and mysql.innodb_index_stats.
--
-- Source of the figure: InnoDB merges half-empty pages, so scattered deletes leave pages that are empty but still reserved for
-- their index. DATA_FREE counts only whole free extents and misses them; DATA_LENGTH counts them as data; AVG_ROW_LENGTH is
-- DATA_LENGTH divided by the rows and says nothing. mysql.innodb_index_stats has both sides: `size` (reserved) and
-- `n_leaf_pages` (in use). Measured on MariaDB 10.11 (88 MB, 300,000 rows of 200 bytes, two indexes), forecast against what
-- OPTIMIZE then freed: 90 % deleted at random 83 against 88 % (DATA_FREE alone: below 5 %), 80 % 72 against 78, every second
-- row 42 against 50, the older half 42 against 50, all rows shortened 47 against 59; 30 % at random, which empties no page, 0
-- against 32, rows inserted in random order 0 against 19, four partitions 51 against 79, freshly loaded 0 against 4. Never
-- above the actual value in 16 cases. It misses free space inside pages more than half full (random deletes of less than half
-- the rows, random keys), so the actual gain may be larger, but never much smaller, and rows deleted but not yet purged (a
-- delete of the last minutes, a long transaction). 4 MB of free extents per tablespace, by which InnoDB extends a file, count
-- as room to grow and not as fragmentation.

-- tables: one row per named table that exists
WITH
-- include: named,
-- include: database_segments,
-- include: rebuilt,
-- include: table_sizes,
figure AS (
    -- include: figure_columns
      FROM information_schema.TABLES AS t
      JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
      LEFT JOIN sizes AS z ON z.name = CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256))
      LEFT JOIN counted AS c ON c.name = CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256))
     WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
       AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
)
SELECT f.TABLE_SCHEMA AS `schema`,
       f.TABLE_NAME AS `table`,
       CASE WHEN f.withheld IS NULL THEN COALESCE(ROUND(100e0 * f.reclaimable / NULLIF(f.total, 0), 1), 0) END AS fragmentation_percent,
       CASE WHEN f.withheld IS NULL THEN f.method END AS method,
       CASE WHEN f.withheld IS NULL THEN CAST(f.reclaimable AS SIGNED) END AS reclaimable_bytes,
       CASE WHEN f.withheld IS NULL THEN CASE WHEN f.ENGINE = 'InnoDB' THEN 5 ELSE 1 END END AS error_points,
       f.withheld AS withheld
  FROM figure AS f
 WHERE COALESCE(:max_bytes, 0) >= 0
 ORDER BY f.TABLE_NAME
