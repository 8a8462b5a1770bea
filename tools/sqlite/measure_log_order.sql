-- name: measure_log_order
-- engine: sqlite >= 3.35
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   date_column: {type: identifier}
--   key: {type: identifier, description: 'the column that rows are numbered by; the date column where there is none'}
-- returns:
--   ends: object(ends)
-- examples: [{params: {schema: main, table: app_log, date_column: created_at, key: id}}]
--
-- The oldest and the newest date of a table, and the dates of the rows with the least and the greatest key: where these are the
-- same, rows are only ever added at the end, as a log does. Four look-ups where both columns are indexed; else the table is read.

-- ends: as texts, blobs in hexadecimal
SELECT (SELECT CASE typeof(t.{date_column}) WHEN 'blob' THEN hex(t.{date_column}) ELSE CAST(t.{date_column} AS TEXT) END
          FROM {schema}.{table} AS t WHERE t.{date_column} IS NOT NULL ORDER BY t.{date_column} LIMIT 1) AS oldest,
       (SELECT CASE typeof(t.{date_column}) WHEN 'blob' THEN hex(t.{date_column}) ELSE CAST(t.{date_column} AS TEXT) END
          FROM {schema}.{table} AS t WHERE t.{date_column} IS NOT NULL ORDER BY t.{date_column} DESC LIMIT 1) AS newest,
       (SELECT CASE typeof(t.{date_column}) WHEN 'blob' THEN hex(t.{date_column}) ELSE CAST(t.{date_column} AS TEXT) END
          FROM {schema}.{table} AS t ORDER BY t.{key} LIMIT 1) AS first,
       (SELECT CASE typeof(t.{date_column}) WHEN 'blob' THEN hex(t.{date_column}) ELSE CAST(t.{date_column} AS TEXT) END
          FROM {schema}.{table} AS t ORDER BY t.{key} DESC LIMIT 1) AS last
