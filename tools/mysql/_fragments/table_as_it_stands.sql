-- A table with the size of its `file`; if that is not known, with the size in the statistics, which right after a deletion can be wrong
-- by half: DATA_LENGTH is from before, DATA_FREE from after.

SELECT CAST(COALESCE(f.bytes, COALESCE(t.DATA_LENGTH, 0) + COALESCE(t.INDEX_LENGTH, 0) + CASE WHEN t.ENGINE = 'InnoDB' AND @@innodb_file_per_table THEN COALESCE(t.DATA_FREE, 0) ELSE 0 END) AS SIGNED) AS bytes,
       CASE WHEN f.bytes IS NULL AND t.ENGINE = 'InnoDB' THEN 'statistics' ELSE 'file size' END AS bytes_method,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created,
       NULL AS dead_rows
  FROM information_schema.TABLES AS t
  JOIN (SELECT SUM(bytes) AS bytes FROM file) AS f
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
