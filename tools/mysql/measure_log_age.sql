-- name: measure_log_age
-- engine: mysql >= 8, mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 300
-- idempotent: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
--   date_column: {type: identifier}
-- returns:
--   oldest: first(age.oldest)
--   newest: first(age.newest)
--   rows: first(size.rows)
-- examples: [{params: {schema: shop, table: app_log, date_column: created_at}}]
--
-- Find the oldest and newest value of a date column, as text, and the approximate number of rows. Zero dates (0000-00-00) are
-- ignored. Two look-ups with an index whose first column is the date; without one the table is read.

-- age: the two ends
SELECT (SELECT CAST({date_column} AS CHAR) FROM {schema}.{table}
         WHERE {date_column} IS NOT NULL AND CAST({date_column} AS CHAR) NOT LIKE '0000-00-00%'
         ORDER BY {date_column} LIMIT 1) AS oldest,
       (SELECT CAST({date_column} AS CHAR) FROM {schema}.{table}
         WHERE {date_column} IS NOT NULL AND CAST({date_column} AS CHAR) NOT LIKE '0000-00-00%'
         ORDER BY {date_column} DESC LIMIT 1) AS newest

-- size: number of rows according to the statistics
SELECT CAST(t.TABLE_ROWS AS SIGNED) AS `rows`
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256))
   AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
