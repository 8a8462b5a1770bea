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
-- How many rows a table has. Exact on request, and where no estimate can be had (a view, a table WITHOUT ROWID, rowids
-- too far apart to say anything): a count under a shared lock. Otherwise an estimate that costs two look-ups:
-- the span of its rowids, highest minus lowest (an upper bound, right for a log that loses its oldest rows): ANALYZE has
-- never run in this file, so there are no statistics to take it from.

-- counted: one row
WITH
-- include: rowid_span,
entered AS (
    SELECT NULL AS n
),
-- include: row_count
