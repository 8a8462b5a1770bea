-- name: count_referring_rows
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
--   cutoff: {type: scalar}
--   filters: {type: filters, default: []}
--   key_column: {type: identifier, description: the column of the table that is referred to}
--   child_schema: {type: identifier}
--   child_table: {type: identifier}
--   child_column: {type: identifier, description: the column that refers to it}
-- returns:
--   rows: first(referring.rows)
-- examples:
--   - params: {schema: main, table: app_log, date_column: created_at, cutoff: '2026-01-01', key_column: id,
--       child_schema: main, child_table: app_log_detail, child_column: log_id}
--
-- How many rows of another table refer to the rows of this one that are older than the cut-off: they go, or are changed, with
-- them. Reads both tables.

-- referring: the rows that depend on old ones
SELECT count(*) AS rows
  FROM {child_schema}.{child_table} AS c
 WHERE c.{child_column} IN (
       SELECT {key_column} FROM {schema}.{table}
        WHERE
              -- include: old_rows
       )
