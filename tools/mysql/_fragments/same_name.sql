-- Block `same` of a statement that cannot run in a transaction: whether the name still refers to the table that `find` saw.

-- same: the table is the one that was approved
SELECT DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') = :created AS same
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
