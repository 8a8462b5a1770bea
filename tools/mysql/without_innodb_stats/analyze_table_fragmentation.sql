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
-- Estimate the share of one table that a rewrite would free, from statistics; the table itself is not read. Needs SELECT on the
-- tables (any privilege makes them visible).
--
-- Without SELECT on mysql.innodb_index_stats only DATA_FREE is available, and it counts whole free extents: it stayed at 7-9 MB
-- when 90 % of the rows were deleted and OPTIMIZE shrank the file from 64 to 7 MB (MariaDB 10.11). So there is a figure only if
-- free extents beyond the usual 8 MB make up a tenth of the table, and it is a lower bound; otherwise the figure is withheld.

-- figures: one row; none if the table does not exist
WITH figure AS (
    -- include: figure_columns_extents
      FROM information_schema.TABLES AS t
     WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
       AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
       AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
)
-- include: table_recommendation
       NULL AS last_analyze
  FROM figure AS f
