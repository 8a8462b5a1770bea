-- Block `find` of the deletions: the table. Batches begin before its first row.

-- find: the table
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`, NULL AS position,
       CAST(COALESCE(t.DATA_LENGTH, 0) + COALESCE(t.INDEX_LENGTH, 0) AS SIGNED) AS bytes, t.ENGINE AS storage,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created, t.CREATE_TIME < NOW(6) - INTERVAL 1100000 MICROSECOND AS settled
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256))
   AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
