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
WITH rowids AS (
    -- Whether the table has rowids, and under a name no column of its own takes. The key of a table WITHOUT ROWID is an
    -- index in the list that has no entry in the schema.
    SELECT EXISTS (SELECT 1 FROM {schema}.sqlite_schema WHERE type = 'table' AND rootpage <> 0 AND name = :table)
           AND NOT EXISTS (SELECT 1 FROM pragma_table_xinfo(:table, :schema) WHERE lower(name) = '_rowid_')
           AND NOT EXISTS (SELECT 1 FROM pragma_index_list(:table, :schema) AS l
                            WHERE l.origin = 'pk'
                              AND l.name NOT IN (SELECT name FROM {schema}.sqlite_schema WHERE type = 'index')) AS usable
), span AS (
    -- `blank` gives `_rowid_` a meaning (NULL) where the table has none; the CASE keeps it from being read there.
    SELECT CASE WHEN usable AND NOT :exact
                THEN coalesce((SELECT max(_rowid_) FROM {schema}.{table}) - (SELECT min(_rowid_) FROM {schema}.{table}) + 1, 0)
                END AS n
      FROM rowids, (SELECT NULL AS _rowid_) AS blank
), entered AS (
    SELECT NULL AS n
), estimate AS (
    -- A row takes 6 bytes at least: a span beyond what the file can hold says nothing.
    SELECT CASE WHEN span.n * 6.0 <= f.page_count * s.page_size THEN span.n END AS span, entered.n AS entered
      FROM span, entered, pragma_page_count AS f, pragma_page_size AS s
)
SELECT CASE WHEN :exact THEN (SELECT count(*) FROM {schema}.{table})
            WHEN entered IS NOT NULL THEN min(entered, coalesce(span, entered))
            WHEN span IS NOT NULL THEN span
            ELSE (SELECT count(*) FROM {schema}.{table}) END AS row_count,
       CASE WHEN :exact THEN 'exact'
            WHEN entered <= coalesce(span, entered) THEN 'estimate: rows at the last ANALYZE'
            WHEN span IS NOT NULL THEN 'estimate: span of rowids, an upper bound'
            ELSE 'exact' END AS method
  FROM estimate
