-- name: inspect_indexes
-- engine: mysql >= 8 with innodb_stats, mariadb >= 10.6 with innodb_stats
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
-- List the secondary indexes of the connected database with their size and fragmentation, one row per table. InnoDB can rebuild
-- the secondary indexes of a table only all together, so they are one row, with the columns that rebuild_fragmented_indexes
-- uses; analyze_index_fragmentation lists the single indexes. `valid` is always true: InnoDB shows no index that failed to
-- build, and a damaged one only once check_table_corruption finds it. MyISAM and Aria tables have no row: only the size of
-- their indexes is known. Needs SELECT on the tables (any privilege makes them visible) and on mysql.innodb_table_stats and
-- mysql.innodb_index_stats.
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

-- indexes: one row per InnoDB table that has secondary indexes
WITH
-- include: database_segments,
-- include: rebuilt,
-- include: index_sizes,
judged AS (
    SELECT t.TABLE_SCHEMA AS schema_name, t.TABLE_NAME AS table_name, t.CREATE_TIME AS create_time, t.ENGINE AS engine,
           z.indexes, z.bytes, GREATEST(0, z.bytes - z.needed) AS reclaimable,
           CASE WHEN t.ROW_FORMAT = 'Compressed' THEN 'row format COMPRESSED: the statistics count pages of unknown size'
                WHEN ABS(CAST(t.TABLE_ROWS AS SIGNED) - CAST(c.n_rows AS SIGNED)) > 1000 + c.n_rows / 5
                THEN 'the statistics are stale: run ANALYZE TABLE and look again' END AS withheld
      FROM information_schema.TABLES AS t
      JOIN secondary AS z ON z.name = CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256))
      LEFT JOIN counted AS c ON c.name = CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256))
     WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
       AND t.ENGINE = 'InnoDB'
)
SELECT j.schema_name AS `schema`,
       j.table_name AS `table`,
       CONCAT('all indexes of ', j.table_name) AS index_name,
       CAST(j.bytes AS SIGNED) AS bytes,
       1 AS valid,
       CASE WHEN j.withheld IS NULL THEN COALESCE(ROUND(100e0 * j.reclaimable / NULLIF(j.bytes, 0), 1), 0) END AS fragmentation_percent,
       CASE WHEN j.withheld IS NULL THEN 'at least: reserved pages against leaf pages in use (innodb_index_stats)' END AS method,
       CASE WHEN j.withheld IS NULL THEN CAST(j.reclaimable AS SIGNED) END AS reclaimable_bytes,
       j.withheld AS withheld
  FROM judged AS j
 ORDER BY j.table_name
