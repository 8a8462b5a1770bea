-- Block `same`: whether the name still refers to the table that `find` saw, by the time of its definition. Creating, altering or
-- renaming a table changes this time, in whole seconds: `find` waits until its own table's second is over (`settled`). On MySQL a
-- RENAME keeps the time of the table that takes the name. Reading none of its rows takes the table's metadata lock, which a
-- transaction holds to its end: from then on no session can replace the table.

-- same: the table is the one that was approved
SELECT DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') = :created AS same
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND (SELECT COUNT(*) FROM {schema}.{table} WHERE FALSE) = 0
