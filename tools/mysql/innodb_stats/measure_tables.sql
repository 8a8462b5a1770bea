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
--   max_bytes: {type: integer, default: null, minimum: 0, description: "of no effect: nothing is read"}
-- returns:
--   tables: rows(tables)
-- examples: [{params: {tables: [{schema: shop, table: orders}]}}]
--
-- The reclaimable share of the named tables, from statistics: no table is read, so a measurement costs the same
-- whatever their size, and `max_bytes` limits nothing here. The statistics are as old as the last ANALYZE or automatic
-- recalculation; when the row count has moved away from them by more than a fifth the figure is withheld.
-- `error_points` says how far the true share may lie BELOW the figure. Needs SELECT on the tables (any privilege makes
-- them visible) and on mysql.innodb_table_stats and mysql.innodb_index_stats.
--
-- Where the figure comes from: InnoDB merges half-empty pages, so scattered deletes leave pages that are empty but
-- still reserved for their index. DATA_FREE counts whole free extents only and does not see them; DATA_LENGTH counts
-- them as data; AVG_ROW_LENGTH is DATA_LENGTH divided by the rows and tells nothing. mysql.innodb_index_stats has both
-- sides: `size` (reserved) and `n_leaf_pages` (in use). Measured on MariaDB 10.11 (88 MB, 300,000 rows of 200 bytes,
-- two indexes), forecast against what OPTIMIZE then gave back: 90 % deleted at random places 83 against 88 %
-- (DATA_FREE alone: below 5 %), 80 % 72 against 78, every second row 42 against 50, the older half 42 against 50, all
-- rows made short 47 against 59; 30 % at random, which empties no page, 0 against 32, rows inserted in random order 0
-- against 19, four partitions 51 against 79, freshly loaded 0 against 4. Never above the truth in 16 cases. What it
-- cannot see is free space inside pages more than half full (random deletes of less than half the rows, random keys),
-- so the true gain may be larger, never much smaller; and rows deleted but not yet purged (a delete of the last
-- minutes, a long transaction). 4 MB of free extents per tablespace, by which InnoDB extends a file, count as room to
-- grow and not as fragmentation.

-- tables: one row per named table that exists
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 would lose most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(:tables, '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
), segment AS (
    -- One row per index and partition: the pages InnoDB holds reserved for it, and how many of them are leaves in use.
    -- MariaDB writes 1 for an index it has scanned whole (up to sample pages x columns): taken for the most it can be.
    SELECT c.table_name, c.index_name, c.pages, c.extent,
           CASE WHEN c.leaves <= 1 THEN LEAST(c.pages, 4 * @@innodb_stats_persistent_sample_pages) ELSE c.leaves END AS leaves
      FROM (SELECT i.table_name, i.index_name,
                   MAX(CASE WHEN i.stat_name = 'size' THEN i.stat_value END) AS pages,
                   MAX(CASE WHEN i.stat_name = 'n_leaf_pages' THEN i.stat_value END) AS leaves,
                   GREATEST(64, 1048576 DIV @@innodb_page_size) AS extent
              FROM mysql.innodb_index_stats AS i
             WHERE i.database_name = DATABASE() AND i.stat_name IN ('size', 'n_leaf_pages')
             GROUP BY i.table_name, i.index_name) AS c
), rebuilt AS (
    -- The pages a rebuild reserves for that many leaves: half an extent page by page, then whole extents of which an
    -- eighth stays free, at most 4 of them (FSEG_FILLFACTOR, FSEG_FREE_LIST_MAX_LEN in InnoDB's fsp0fsp.h).
    SELECT CAST(CASE WHEN LOCATE('#P#', REPLACE(s.table_name, '#p#', '#P#')) > 0
                THEN CONCAT(SUBSTRING_INDEX(REPLACE(s.table_name, '#p#', '#P#'), '#P#', 1), '#P#') ELSE s.table_name END AS BINARY(256)) AS name,
           s.table_name, s.index_name, s.pages,
           CASE WHEN s.leaves <= s.extent DIV 2 THEN LEAST(s.pages, s.extent DIV 2 + 1)
                ELSE s.extent DIV 2 + CEILING(s.leaves / 500)
                     + s.extent * LEAST(CEILING((s.leaves - s.extent DIV 2) / (s.extent * 7 / 8)),
                                        CEILING((s.leaves - s.extent DIV 2) / s.extent) + 4) END AS needed
      FROM segment AS s
), sizes AS (
    SELECT r.name, COUNT(DISTINCT r.table_name) AS spaces,
           SUM(r.pages) * @@innodb_page_size AS bytes, SUM(r.needed) * @@innodb_page_size AS needed
      FROM rebuilt AS r
     GROUP BY r.name
), counted AS (
    SELECT CAST(CASE WHEN LOCATE('#P#', REPLACE(n.table_name, '#p#', '#P#')) > 0
                THEN CONCAT(SUBSTRING_INDEX(REPLACE(n.table_name, '#p#', '#P#'), '#P#', 1), '#P#') ELSE n.table_name END AS BINARY(256)) AS name,
           SUM(n.n_rows) AS n_rows, MIN(n.last_update) AS last_update
      FROM mysql.innodb_table_stats AS n
     WHERE n.database_name = DATABASE()
     GROUP BY 1
), figure AS (
    SELECT t.*, CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256)) AS name, c.n_rows, c.last_update,
           CASE WHEN t.ENGINE IS NULL THEN CONCAT('the server cannot open the table: ', t.TABLE_COMMENT)
            WHEN t.ENGINE = 'Aria' AND t.ROW_FORMAT = 'Page' THEN 'Aria does not tell how full its pages are (DATA_FREE is always 0)'
            WHEN t.ENGINE NOT IN ('InnoDB', 'MyISAM', 'Aria') THEN CONCAT('nothing is known about free space in ', t.ENGINE)
            WHEN t.ENGINE <> 'InnoDB' THEN NULL
            WHEN t.ROW_FORMAT = 'Compressed' THEN 'row format COMPRESSED: the statistics count pages of unknown size'
            WHEN z.name IS NULL THEN 'no persistent statistics (STATS_PERSISTENT=0, or never analysed): run ANALYZE TABLE'
            WHEN ABS(CAST(t.TABLE_ROWS AS SIGNED) - CAST(c.n_rows AS SIGNED)) > 1000 + c.n_rows / 5
            THEN 'the statistics are stale: run ANALYZE TABLE and look again' END AS withheld,
           CASE WHEN t.ENGINE = 'InnoDB' THEN z.bytes + CASE WHEN @@innodb_file_per_table THEN t.DATA_FREE ELSE 0 END
                ELSE t.DATA_LENGTH + t.INDEX_LENGTH END AS total,
           CASE WHEN t.ENGINE <> 'InnoDB' THEN t.DATA_FREE
                ELSE GREATEST(0, z.bytes - z.needed
                                 + CASE WHEN @@innodb_file_per_table THEN GREATEST(0, CAST(t.DATA_FREE AS SIGNED) - 4194304 * z.spaces)
                                        ELSE 0 END) END AS reclaimable,
           CASE WHEN t.ENGINE = 'InnoDB' THEN 'at least: reserved pages against leaf pages in use (innodb_index_stats), free extents beyond 4 MB'
                ELSE 'DATA_FREE: holes in the data file, exact; the index file is not counted' END AS method
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
