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
--   rows: {from: first(size.rows), description: 'rows of the table, by the density of the last VACUUM or ANALYZE'}
--   sample: {from: rows(sample), description: 'dates: with the share of the rows that have them, without one the bounds between equal shares of the rest'}
-- examples: [{params: {schema: public, table: app_log, date_column: created_at, cutoff: '2026-01-01'}}]
--
-- What tells how many rows of a table are older than a cut-off, in a time that does not depend on its size: old rows counted up
-- to a limit, and the dates of the last ANALYZE's sample. With an index that begins with the column the count reads so many
-- entries of it at most; without one, or with filters, it can read the whole table, so then the limit is to be 0. There is no
-- sample where the table was never analyzed, or where this role may not read its statistics.

-- counted: as many as the limit allows
SELECT count(*) AS rows
FROM (SELECT 1 FROM {schema}.{table} WHERE {date_column} < :cutoff{filters} LIMIT CAST(:most AS bigint)) AS r

-- size: none before the first VACUUM or ANALYZE
SELECT CASE WHEN c.relpages > 0 AND c.reltuples >= 0
            THEN CAST(c.reltuples / c.relpages * (pg_relation_size(c.oid) / CAST(current_setting('block_size') AS int)) AS bigint) END
         AS rows
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text)

-- sample: the commonest dates, then the histogram of the others; `share` is of all rows, those without a date among them
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
