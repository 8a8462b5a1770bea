-- name: measure_log_order
-- engine: mysql >= 8, mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
--   date_column: {type: identifier}
--   key: {type: identifier, description: 'the column that numbers the rows; the date column if there is none'}
-- returns:
--   ends: object(ends)
-- examples: [{params: {schema: shop, table: app_log, date_column: created_at, key: id}}]
--
-- Compare the oldest and newest dates of a table with the dates of the rows with the lowest and highest keys. If they are the
-- same, rows are only ever appended, as in a log. Zero dates (0000-00-00) are ignored. Four look-ups if both columns are
-- indexed; otherwise the table is read.

-- ends: as text
SELECT (SELECT CAST(t.{date_column} AS CHAR) FROM {schema}.{table} AS t
         WHERE t.{date_column} IS NOT NULL AND CAST(t.{date_column} AS CHAR) NOT LIKE '0000-00-00%'
         ORDER BY t.{date_column} LIMIT 1) AS oldest,
       (SELECT CAST(t.{date_column} AS CHAR) FROM {schema}.{table} AS t
         WHERE t.{date_column} IS NOT NULL AND CAST(t.{date_column} AS CHAR) NOT LIKE '0000-00-00%'
         ORDER BY t.{date_column} DESC LIMIT 1) AS newest,
       (SELECT CAST(t.{date_column} AS CHAR) FROM {schema}.{table} AS t ORDER BY t.{key} LIMIT 1) AS first,
       (SELECT CAST(t.{date_column} AS CHAR) FROM {schema}.{table} AS t ORDER BY t.{key} DESC LIMIT 1) AS last
