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
-- The oldest and the newest value of the date column, as text, and about how many rows the table has. Zero dates (0000-00-00)
-- are no dates and passed by. With an index that begins with the column that is two look-ups; without one the table is read.

-- age: the two ends
SELECT (SELECT CAST({date_column} AS CHAR) FROM {schema}.{table}
         WHERE {date_column} IS NOT NULL AND CAST({date_column} AS CHAR) NOT LIKE '0000-00-00%'
         ORDER BY {date_column} LIMIT 1) AS oldest,
       (SELECT CAST({date_column} AS CHAR) FROM {schema}.{table}
         WHERE {date_column} IS NOT NULL AND CAST({date_column} AS CHAR) NOT LIKE '0000-00-00%'
         ORDER BY {date_column} DESC LIMIT 1) AS newest

-- size: rows by the statistics
SELECT CAST(t.TABLE_ROWS AS SIGNED) AS `rows`
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256))
   AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
