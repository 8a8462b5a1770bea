-- name: analyze_table_fragmentation
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
--   fragmentation_percent: {from: first(figures.fragmentation_percent), type: [number, "null"]}
--   method: first(figures.method)
--   recommendation: first(figures.recommendation)
--   estimated_benefit: first(figures.estimated_benefit)
--   withheld: first(figures.withheld)
--   table_stats: object(figures)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- Estimate the share of one table that a rewrite would free, from statistics; the table itself is not read. Needs SELECT on the
-- tables (any privilege makes them visible) and on mysql.innodb_table_stats and mysql.innodb_index_stats.
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

-- figures: one row; none if the table does not exist
WITH
-- include: table_segments,
-- include: rebuilt,
sizes AS (
    SELECT r.name, COUNT(DISTINCT r.table_name) AS spaces,
           SUM(r.pages) * @@innodb_page_size AS bytes, SUM(r.needed) * @@innodb_page_size AS needed
      FROM rebuilt AS r
     GROUP BY r.name
), counted AS (
    SELECT CAST(CASE WHEN LOCATE('#P#', REPLACE(n.table_name, '#p#', '#P#')) > 0
                THEN CONCAT(SUBSTRING_INDEX(REPLACE(n.table_name, '#p#', '#P#'), '#P#', 1), '#P#') ELSE n.table_name END AS BINARY(256)) AS name,
           SUM(n.n_rows) AS n_rows, MIN(n.last_update) AS last_update
      FROM mysql.innodb_table_stats AS n
     WHERE n.database_name = CONVERT(:schema USING utf8mb3) AND (n.table_name = CONVERT(:table USING utf8mb3)
                    OR LEFT(REPLACE(n.table_name, '#p#', '#P#'), CHAR_LENGTH(:table) + 3) = CONCAT(CONVERT(:table USING utf8mb3), '#P#'))
     GROUP BY 1
), figure AS (
    -- include: figure_columns
      FROM information_schema.TABLES AS t
      LEFT JOIN sizes AS z ON z.name = CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256))
      LEFT JOIN counted AS c ON c.name = CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256))
     WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
       AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
       AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
)
-- include: table_recommendation
       DATE_FORMAT(CONVERT_TZ(f.last_update, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS last_analyze
  FROM figure AS f
