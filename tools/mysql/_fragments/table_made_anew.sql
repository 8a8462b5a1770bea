-- Whether a table has been rebuilt since `created`, and the current size of its `file`.

SELECT t.CREATE_TIME IS NOT NULL
       AND (NOT (DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') <=> :created) OR t.CREATE_TIME >= NOW() - INTERVAL 2 SECOND) AS ok,
       CAST(COALESCE(f.bytes, COALESCE(t.DATA_LENGTH, 0) + COALESCE(t.INDEX_LENGTH, 0) + CASE WHEN t.ENGINE = 'InnoDB' AND @@innodb_file_per_table THEN COALESCE(t.DATA_FREE, 0) ELSE 0 END) AS SIGNED) AS bytes,
       CASE WHEN f.bytes IS NULL AND t.ENGINE = 'InnoDB' THEN 'statistics' ELSE 'file size' END AS bytes_method,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created,
       NULL AS dead_rows
  FROM information_schema.TABLES AS t
  JOIN (SELECT SUM(bytes) AS bytes FROM file) AS f
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
