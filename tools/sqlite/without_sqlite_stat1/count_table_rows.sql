-- name: count_table_rows
-- engine: sqlite >= 3.35 without stat1
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 1800
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   exact: {type: boolean, default: false, description: "count row by row, which reads the table's smallest index to the end"}
-- returns:
--   row_count: first(counted.row_count)
--   method: first(counted.method)
-- examples: [{params: {schema: main, table: orders, exact: true}}]
--
-- Count the rows of a table, or estimate their number. Counts under a shared lock on request, and where no estimate is possible
-- (a view, a table WITHOUT ROWID, rowids too far apart to be meaningful). The estimate takes two look-ups: it is the span of
-- rowids (highest minus lowest: an upper bound, and accurate for a log that loses its oldest rows), because ANALYZE has never
-- been run in this file.

-- counted: one row
WITH
-- include: rowid_span,
entered AS (
    SELECT NULL AS n
),
-- include: row_count
