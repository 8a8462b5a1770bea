-- name: drop_invalid_indexes
-- engine: mysql >= 8, mariadb >= 10.6
-- category: maintenance
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
-- returns:
--   indexes_dropped: sum(dropped.indexes)
--   reported: rows(reported)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- Report the indexes that the optimizer may not use; drop nothing. An index build that fails leaves nothing behind on this
-- engine: the server rolls ALTER TABLE and CREATE INDEX back as a whole. No catalog table shows whether InnoDB has marked an
-- index as corrupted; check_table_corruption finds that. Indexes hidden from the optimizer (INVISIBLE, on MariaDB IGNORED) are
-- reported: someone may be testing whether they are needed. Needs any privilege on the table.

-- dropped: never returns a row
SELECT 0 AS indexes

-- reported [mariadb]: indexes that are maintained and never used
SELECT x.TABLE_SCHEMA AS `schema`, x.TABLE_NAME AS `table`, x.INDEX_NAME AS index_name,
       'IGNORED: costs every write and serves no query; drop it, or make it NOT IGNORED again' AS reason
  FROM information_schema.STATISTICS AS x
 WHERE x.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND x.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(x.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(x.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND x.SEQ_IN_INDEX = 1 AND x.IGNORED = 'YES'
 ORDER BY x.INDEX_NAME

-- reported [mysql]: indexes that are maintained and never used
SELECT x.TABLE_SCHEMA AS `schema`, x.TABLE_NAME AS `table`, x.INDEX_NAME AS index_name,
       'INVISIBLE: costs every write and serves no query; drop it, or make it VISIBLE again' AS reason
  FROM information_schema.STATISTICS AS x
 WHERE x.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND x.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(x.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(x.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND x.SEQ_IN_INDEX = 1 AND x.IS_VISIBLE = 'NO'
 ORDER BY x.INDEX_NAME
