-- name: count_table_rows
-- engine: sqlite >= 3.35 with stat1
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
-- (a view, a table WITHOUT ROWID, rowids too far apart to be meaningful). The estimate takes two look-ups: the row count of the
-- last ANALYZE, but no more than the span of rowids allows. For a table that has not been analyzed it is that span alone
-- (highest minus lowest rowid: an upper bound, and accurate for a log that loses its oldest rows).

-- counted: one row
WITH
-- include: rowid_span,
entered AS (
    SELECT max(CAST(stat AS INTEGER)) AS n FROM {schema}.sqlite_stat1 WHERE tbl = :table
),
-- include: row_count
