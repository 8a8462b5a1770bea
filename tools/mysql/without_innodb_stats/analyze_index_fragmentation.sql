-- name: analyze_index_fragmentation
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
--   indexes: rows(indexes)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- List the indexes of one table without figures. information_schema knows only the sum of their sizes, and this role may not
-- read mysql.innodb_index_stats.

-- indexes: one row per index, without figures
SELECT DISTINCT x.INDEX_NAME AS `index`,
       NULL AS fragmentation_percent,
       NULL AS method,
       NULL AS bytes,
       NULL AS reclaimable_bytes,
       'sizes of single indexes are only in mysql.innodb_index_stats: grant SELECT on it' AS withheld
  FROM information_schema.STATISTICS AS x
 WHERE x.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND x.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(x.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(x.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
 ORDER BY 1
