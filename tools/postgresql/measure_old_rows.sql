-- name: measure_old_rows
-- engine: postgresql >= 12
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
--   cutoff: {type: scalar, description: rows whose date is before this are old}
--   filters: {type: filters, default: [], description: 'further conditions, all of which must hold: {column, operator, value}'}
--   most: {type: integer, default: 20000, minimum: 0, description: stop counting at this number}
-- returns:
--   counted: {from: first(counted.rows), description: 'old rows, at most `most`'}
--   rows: {from: first(size.rows), description: 'rows of the table, from the row density of the last VACUUM or ANALYZE'}
--   sample: {from: rows(sample), description: 'dates: those with a share are that share of the rows, the others are the bounds between equal parts of the remaining rows'}
-- examples: [{params: {schema: public, table: app_log, date_column: created_at, cutoff: '2026-01-01'}}]
--
-- Measure how many rows of a table are older than a cut-off date, in a time independent of its size. Counts old rows up to a
-- limit and reads the dates in the sample of the last ANALYZE. With an index whose first column is the date, the count reads at
-- most that many entries; without one, or with filters, it may read the whole table, so set the limit to 0 then. There is no
-- sample if the table was never analyzed, or if this role may not read its statistics.

-- counted: old rows, up to the limit
SELECT count(*) AS rows
FROM (SELECT 1 FROM {schema}.{table} WHERE {date_column} < :cutoff{filters} LIMIT CAST(:most AS bigint)) AS r

-- size: NULL before the first VACUUM or ANALYZE
SELECT CASE WHEN c.relpages > 0 AND c.reltuples >= 0
            THEN CAST(c.reltuples / c.relpages * (pg_relation_size(c.oid) / CAST(current_setting('block_size') AS int)) AS bigint) END
         AS rows
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text)

-- sample: the most common dates, then the histogram of the others; `share` is of all rows, including those without a date
WITH s AS (
  SELECT CAST(CAST(s.most_common_vals AS text) AS text[]) AS vals, s.most_common_freqs AS freqs,
         CAST(CAST(s.histogram_bounds AS text) AS text[]) AS bounds, s.null_frac
  FROM pg_stats AS s
  WHERE s.schemaname = CAST(:schema AS text) AND s.tablename = CAST(:table AS text) AND s.attname = CAST(:date_column AS text)
  ORDER BY s.inherited LIMIT 1
)
SELECT v.date, CAST(s.freqs[v.place] AS float8) AS share FROM s, unnest(s.vals) WITH ORDINALITY AS v(date, place)
UNION ALL
SELECT NULL, CAST(s.null_frac AS float8) FROM s WHERE s.null_frac > 0
UNION ALL
SELECT b.date, NULL FROM s, unnest(s.bounds) AS b(date)
