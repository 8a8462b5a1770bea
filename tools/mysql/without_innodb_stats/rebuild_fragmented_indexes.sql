-- name: rebuild_fragmented_indexes
-- engine: mysql >= 8 without innodb_stats, mariadb >= 10.6 without innodb_stats
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, index_manage]
-- runs: each
-- transaction: none
-- lock: MDL SHARED UPGRADABLE, brief EXCLUSIVE
-- max_execution_time: 7200
-- privileges: [ALTER]
-- idempotent: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
--   fragmentation_threshold: {type: number, editable: true, default: 30, minimum: 0, maximum: 100, description: "rebuild the indexes if at least this percentage of their pages would be freed"}
--   min_index_size: {type: integer, editable: true, default: 1048576, minimum: 0, description: "bytes; if all secondary indexes together are smaller the table is left alone"}
-- returns:
--   indexes_rebuilt: sum(verify.index_count)
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   bytes_method: {from: first(find.bytes_method), description: "'statistics': an index has no file of its own"}
--   failed: rows(failed)
--   reported: rows(report)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- Rebuild the secondary indexes of one table, and with them the table, but only if fragmentation_threshold is 0. This role may
-- not read mysql.innodb_index_stats, and nothing else shows how fragmented an index is. With a threshold of 0 the table is
-- rebuilt whatever its state, if its indexes together reach min_index_size.
--
-- InnoDB cannot rebuild a single secondary index while the application works: the table and all its indexes are built again
-- beside the old one (ALTER TABLE … FORCE, INPLACE, LOCK=NONE). Reads and writes continue; only at the start and at the end do
-- other sessions wait for an exclusive metadata lock, and behind a long transaction on the table that wait is limited by the
-- lock timeout. Needs free disk space of the size of the table, plus a log of the changes made meanwhile
-- (innodb_online_alter_log_max_size, 128 MB by default: on a busier table it fails and nothing changes). It is always written
-- to the binary log, and a replica that applies it lags by as long as it takes.
--
-- Tables with FULLTEXT indexes cannot be rebuilt like this on all versions: they are skipped with the server's reason. MyISAM
-- and Aria tables are left alone: optimize_offline_table sorts their index pages, and blocks them meanwhile.
--
-- What `verify` proves: CREATE_TIME has changed, or is less than 2 seconds old (its resolution is one second); only a rebuild
-- sets it. Needs SELECT on the tables (any privilege makes them visible). Altering needs ALTER on the table.

-- find: the table, if it is to be rebuilt whatever its state
SELECT CONCAT('all indexes of ', t.TABLE_NAME) AS index_name,
       (SELECT COUNT(DISTINCT x.INDEX_NAME) FROM information_schema.STATISTICS AS x WHERE x.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND x.TABLE_NAME = CONVERT(:table USING utf8mb3) AND x.INDEX_NAME <> 'PRIMARY') AS index_count,
       CAST(t.INDEX_LENGTH AS SIGNED) AS bytes,
       'statistics' AS bytes_method,
       NULL AS fragmentation,
       NULL AS definition,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND t.ENGINE = 'InnoDB'
   AND t.INDEX_LENGTH >= :min_index_size
   AND :fragmentation_threshold <= 0

-- include: same_name

-- do: rebuild the table with all its indexes, without blocking reads and writes
ALTER TABLE {schema}.{table} FORCE, ALGORITHM=INPLACE, LOCK=NONE

-- verify: the table has been rebuilt
SELECT t.CREATE_TIME IS NOT NULL
       AND (NOT (DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') <=> :created) OR t.CREATE_TIME >= NOW() - INTERVAL 2 SECOND) AS ok,
       CAST(t.INDEX_LENGTH AS SIGNED) AS bytes,
       :index_count AS index_count,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))

-- report: why there is no figure
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`,
       CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'a view has no data of its own'
            WHEN t.ENGINE IS NULL THEN CONCAT('the server cannot open the table: ', t.TABLE_COMMENT)
            WHEN t.ENGINE IN ('MyISAM', 'Aria') THEN CONCAT(t.ENGINE, ': use optimize_offline_table, which blocks the table meanwhile')
            WHEN t.ENGINE = 'InnoDB' THEN 'the fragmentation of indexes is only in mysql.innodb_index_stats: grant SELECT on it'
            ELSE CONCAT('the engine ', t.ENGINE, ' cannot rebuild a table online') END AS reason
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND COALESCE(t.TABLE_ROWS, 0) >= 0  -- makes the server open the table, since its definition alone may be sound
   AND (:fragmentation_threshold > 0 OR NOT (t.ENGINE <=> 'InnoDB'))
