-- name: measure_log_age
-- engine: sqlite >= 3.35
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 300
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   date_column: {type: identifier}
-- returns:
--   oldest: first(age.oldest)
--   newest: first(age.newest)
--   shapes: {from: first(age.shapes), description: in how many formats the text dates are written}
--   rows: first(size.rows)
-- examples: [{params: {schema: main, table: app_log, date_column: created_at}}]
--
-- Find the oldest and newest value of a date column, as text, and the number of rows. SQLite does not enforce declared types:
-- numbers, text and blobs can be in one column, and they sort in this order, so the two ends reveal them. They do not reveal
-- how the text values between them are written (`T` or a space in the middle, with which time zone): `shapes` counts these
-- formats, for which every date is read, from the index if there is one. Blobs are shown in hexadecimal.

-- age: the two ends, and how many formats the text values have
SELECT (SELECT CASE typeof(t.{date_column}) WHEN 'blob' THEN hex(t.{date_column}) ELSE CAST(t.{date_column} AS TEXT) END
          FROM {schema}.{table} AS t WHERE t.{date_column} IS NOT NULL ORDER BY t.{date_column} LIMIT 1) AS oldest,
       (SELECT CASE typeof(t.{date_column}) WHEN 'blob' THEN hex(t.{date_column}) ELSE CAST(t.{date_column} AS TEXT) END
          FROM {schema}.{table} AS t WHERE t.{date_column} IS NOT NULL ORDER BY t.{date_column} DESC LIMIT 1) AS newest,
       (SELECT count(DISTINCT CASE WHEN t.{date_column} NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' THEN '?'
                                   WHEN t.{date_column} LIKE '%Z' THEN substr(t.{date_column}, 11, 1) || 'Z'
                                   -- a time zone as +02:00, as +0200, or none
                                   WHEN substr(t.{date_column}, 11) GLOB '*[-+][0-9][0-9]:[0-9][0-9]'
                                   THEN substr(t.{date_column}, 11, 1) || substr(t.{date_column}, -6)
                                   WHEN substr(t.{date_column}, 11) GLOB '*[-+][0-9][0-9][0-9][0-9]'
                                   THEN substr(t.{date_column}, 11, 1) || substr(t.{date_column}, -5)
                                   ELSE substr(t.{date_column}, 11, 1) END)
          FROM {schema}.{table} AS t WHERE typeof(t.{date_column}) = 'text') AS shapes

-- size: the number of rows, counted
SELECT count(*) AS rows FROM {schema}.{table}
