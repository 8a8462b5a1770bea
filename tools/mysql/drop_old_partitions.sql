-- name: drop_old_partitions
-- engine: mysql >= 8, mariadb >= 10.6
-- category: database_ddl
-- risk: high
-- capabilities: [database_read, schema_modify]
-- runs: each
-- lock: MDL EXCLUSIVE
-- max_execution_time: 600
-- privileges: [SELECT, ALTER, DROP, LOCK TABLES]
-- idempotent: true
-- deletes: true
-- key: [schema, table, partition]
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
--   date_column: {type: identifier, description: the column with the date of a row}
--   cutoff: {type: scalar, description: drop partitions that can contain only rows before this}
-- returns:
--   partitions_dropped: count(ok)
--   rows_dropped: {from: total(check.counted), description: 'as counted right before; null if one partition was not counted'}
--   rows_counted: {from: list(check.counted), description: 'the count for each of `dropped`, at most a million'}
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   bytes_method: {from: first(find.bytes_method), description: "'file size', exact, or 'statistics'"}
--   dropped: rows(ok)
--   failed: rows(failed)
--   skipped: rows(skipped)
-- examples: [{params: {schema: shop, table: app_log, date_column: created_at, cutoff: '2026-01-01 00:00:00'}}]
--
-- Drop the partitions of a table that can contain only rows older than a cut-off date. Each is dropped by a statement of its
-- own, after its newest row was checked. The table is locked against all access for the moment of each drop. aishell waits for
-- the lock a second at a time, with pauses that let other sessions through, and soon gives up. Never dropped: the last
-- partition, one up to MAXVALUE, the first one if the column may be NULL (it holds those rows), and any if the table has a
-- trigger for DELETE. LOCK TABLES keeps the name from being given to another table meanwhile. Needs SELECT, ALTER and DROP on
-- the table, and LOCK TABLES on its database.

-- find: the partitions that may be dropped
WITH
-- include [mariadb with process]: file_mariadb,
-- include [mysql with process]: file_mysql,
-- include [without process]: file_unseen,
-- include: log_partitions
SELECT :schema AS `schema`, :table AS `table`, p.name AS `partition`, p.bound AS bound, p.n_rows AS `rows`, p.n_bytes AS bytes, p.bytes_method AS bytes_method,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created, t.CREATE_TIME < NOW(6) - INTERVAL 1100000 MICROSECOND AS settled
  FROM part AS p
  JOIN information_schema.TABLES AS t
 WHERE p.stays IS NULL AND t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
 ORDER BY p.position

-- check: whether its rows match its bound
SELECT CASE WHEN f.newest >= :cutoff THEN CONCAT('it contains a row of ', f.newest, ', which is not before the cut-off: check it by hand') END AS reason,
       (SELECT NULLIF(COUNT(*), 1000001) FROM (SELECT 1 FROM {schema}.{table} PARTITION ({partition}) LIMIT 1000001) AS m) AS counted
  FROM (SELECT MAX({date_column}) AS newest FROM {schema}.{table} PARTITION ({partition})) AS f

-- same: the table is the one that was approved; each dropped partition gives it another time
SELECT DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') = :created AS same,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created,
       t.CREATE_TIME < NOW(6) - INTERVAL 1100000 MICROSECOND AS settled
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))

-- hold: no other session reads, writes or replaces the table until the partition is dropped
LOCK TABLES {schema}.{table} WRITE

-- do: drop the partition
ALTER TABLE {schema}.{table} DROP PARTITION {partition}

-- verify: the partition is gone
SELECT COUNT(*) > 0 AND SUM(COALESCE(CAST(p.PARTITION_NAME AS BINARY(256)) = CAST(:partition AS BINARY(256)), FALSE)) = 0 AS ok, 0 AS bytes
  FROM information_schema.PARTITIONS AS p
 WHERE p.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND p.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(p.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(p.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
