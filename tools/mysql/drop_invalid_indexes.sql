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
-- Drops nothing and only reports. An index that fails to build leaves nothing behind on this engine: the server rolls
-- ALTER TABLE and CREATE INDEX back as a whole. Whether InnoDB has marked an index as corrupted is not shown in any
-- catalog table; check_table_corruption finds it. Reported are indexes the optimizer was told not to use (INVISIBLE,
-- on MariaDB IGNORED):
-- somebody may be trying out life without them. Needs any privilege on the table.

-- dropped: none, ever
SELECT 0 AS indexes

-- reported [mariadb]: indexes that are kept up to date and never used
SELECT x.TABLE_SCHEMA AS `schema`, x.TABLE_NAME AS `table`, x.INDEX_NAME AS index_name,
       'IGNORED: costs every write and serves no query; drop it, or make it NOT IGNORED again' AS reason
  FROM information_schema.STATISTICS AS x
 WHERE x.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND x.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(x.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(x.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND x.SEQ_IN_INDEX = 1 AND x.IGNORED = 'YES'
 ORDER BY x.INDEX_NAME

-- reported [mysql]: indexes that are kept up to date and never used
SELECT x.TABLE_SCHEMA AS `schema`, x.TABLE_NAME AS `table`, x.INDEX_NAME AS index_name,
       'INVISIBLE: costs every write and serves no query; drop it, or make it VISIBLE again' AS reason
  FROM information_schema.STATISTICS AS x
 WHERE x.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND x.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(x.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(x.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND x.SEQ_IN_INDEX = 1 AND x.IS_VISIBLE = 'NO'
 ORDER BY x.INDEX_NAME
