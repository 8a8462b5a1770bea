-- name: analyze_table_fragmentation
-- engine: sqlite >= 3.35 without dbstat
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier, default: null, description: "default: the whole file, which is what VACUUM rewrites"}
-- returns:
--   fragmentation_percent: first(measured.fragmentation_percent)
--   method: first(measured.method)
--   recommendation: first(measured.recommendation)
--   estimated_benefit: {from: first(measured.estimated_benefit), description: "bytes"}
--   table_stats: object(stats)
--   withheld: first(measured.withheld)
-- examples: [{params: {schema: main, table: orders}}, {params: {schema: main}}]
--
-- Measure the share of free pages in the whole file, a lower bound of what VACUUM returns. This SQLite was built without
-- dbstat, so half-empty pages are not seen, and the figure for one table is withheld.

-- measured: the figure and the recommendation
SELECT CASE WHEN :table IS NULL THEN round(100.0 * f.freelist_count / c.page_count, 1) END AS fragmentation_percent,
       CASE WHEN :table IS NULL THEN 'free pages of the file: a lower bound' END AS method,
       CASE WHEN :table IS NOT NULL THEN 'look at the whole file: leave `table` out'
            WHEN 5 * f.freelist_count < c.page_count THEN 'leave it: under 20 % of the pages are known to come back'
            WHEN v.auto_vacuum = 2 THEN 'incremental_vacuum gives back the free pages without rewriting the file'
            ELSE 'VACUUM (optimize_table): rewrites the whole file, needs its size twice' END AS recommendation,
       CASE WHEN :table IS NULL THEN f.freelist_count * s.page_size END AS estimated_benefit,
       CASE WHEN :table IS NOT NULL THEN 'this SQLite was built without dbstat' END AS withheld
  FROM pragma_freelist_count AS f, pragma_page_count AS c, pragma_page_size AS s, pragma_auto_vacuum AS v

-- stats: the numbers behind the figure
SELECT (SELECT count(*) FROM {schema}.sqlite_schema WHERE type = 'index' AND tbl_name = :table) AS indexes,
       f.freelist_count AS database_free_pages,
       c.page_count AS database_pages,
       s.page_size AS page_size
  FROM pragma_freelist_count AS f, pragma_page_count AS c, pragma_page_size AS s
