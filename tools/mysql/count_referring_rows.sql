-- name: count_referring_rows
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
--   cutoff: {type: scalar}
--   filters: {type: filters, default: []}
--   child_schema: {type: identifier}
--   child_table: {type: identifier}
--   relatives: {type: relatives, description: 'that table, number 1, and the foreign keys to follow'}
-- lists:
--   refers:
--     over: edges
--     each: EXISTS (SELECT 1 FROM old AS p WHERE {on})
--     between: ' OR '
-- returns:
--   rows: first(referring.rows)
-- examples:
--   - params: {schema: shop, table: app_log, date_column: created_at, cutoff: '2026-01-01', child_schema: shop, child_table: app_log_detail,
--       relatives: {tables: [{schema: shop, table: app_log_detail, columns: [{column: log_id, form: any}], key: []}],
--         edges: [{parent: 0, child: 1, pairs: [[log_id, id]]}]}}
--
-- Count the rows of another table that reference rows older than a cut-off date. Follows the given foreign keys: these rows are
-- deleted or changed with the old ones. A row that references several is counted once. Reads both tables. Needs SELECT on both.

-- referring: the rows that reference old ones
WITH old AS (
    SELECT * FROM {schema}.{table}
     WHERE
           -- include: old_rows
)
SELECT COUNT(*) AS `rows`
  FROM {child_schema}.{child_table} AS c
 WHERE {refers}
