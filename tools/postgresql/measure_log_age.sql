-- name: measure_log_age
-- engine: postgresql >= 12
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
--   rows: first(size.rows)
-- examples: [{params: {schema: public, table: app_log, date_column: created_at}}]
--
-- Find the oldest and newest value of a date column, as text, and the approximate number of rows. Two look-ups with an index
-- whose first column is the date; without one the table is read.

-- age: the two ends; a cast takes the column's name, so ORDER BY without `t.` would sort the text
SELECT (SELECT t.{date_column}::text FROM {schema}.{table} AS t WHERE t.{date_column} IS NOT NULL ORDER BY t.{date_column} LIMIT 1)
         AS oldest,
       (SELECT t.{date_column}::text FROM {schema}.{table} AS t WHERE t.{date_column} IS NOT NULL
        ORDER BY t.{date_column} DESC LIMIT 1) AS newest

-- size: number of rows according to the statistics
-- (-1, or before version 14 0 with 0 pages, until the first VACUUM or ANALYZE; of a partitioned parent always before 14)
SELECT CASE WHEN c.reltuples > 0 OR c.reltuples = 0 AND (c.relpages <> 0 OR c.relkind <> 'p' AND pg_stat_get_live_tuples(c.oid) = 0)
       THEN c.reltuples::bigint END AS rows
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table
