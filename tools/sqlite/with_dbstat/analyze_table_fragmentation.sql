-- name: analyze_table_fragmentation
-- engine: sqlite >= 3.35 with dbstat
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- max_execution_time: 600
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
-- Measure the fragmentation of a table, or of the whole file without `table`: the share of its pages that a rewrite would
-- return. Reads every page once, under a shared lock. The figure for one table leaves out its indexes
-- (analyze_index_fragmentation) and the free pages of the file, which belong to no table; the figure for the file includes them
-- all and is what VACUUM gains, since VACUUM rewrites everything.
--
-- Source of the forecast: on 60 test databases (pages of 1, 4 and 8 KiB, random and ordered keys, overflow, deletes, updates,
-- auto_vacuum) the forecast of the size after VACUUM was off by 0.5 % of the file on average, 3 % at worst; that of an index
-- after REINDEX by 0.3 %, 8 % at worst (few entries of mixed size per page). dbstat.unused divided by the page size was off by
-- 16 %, 64 % at worst, because no page is ever filled to the last byte.

-- measured: the figure and the recommendation
WITH tree AS (
    -- include: dbstat_pages
     GROUP BY name
),
-- include: packed_btrees,
-- include: whole_file,
subject AS (
    SELECT w.pages, w.needed, w.page_size, w.free FROM whole AS w WHERE :table IS NULL
     UNION ALL
    SELECT p.pages, p.needed, p.page_size, w.free FROM btree AS p, whole AS w
     WHERE p.type = 'table' AND p.name = :table
)
SELECT round(100.0 * (s.pages - s.needed) / s.pages, 1) AS fragmentation_percent,
       'dbstat, every page; pages after packing are forecast' AS method,
       CASE WHEN 5 * (s.pages - s.needed) < s.pages
                 THEN 'leave it: under 20 % of the pages would come back'
            WHEN v.auto_vacuum = 2 AND 2 * s.free >= s.pages - s.needed AND :table IS NULL
                 THEN 'incremental_vacuum gives back the free pages without rewriting the file'
            ELSE 'VACUUM (optimize_table): rewrites the whole file, needs its size twice' END AS recommendation,
       (s.pages - s.needed) * s.page_size AS estimated_benefit,
       NULL AS withheld
  FROM subject AS s, pragma_auto_vacuum AS v
 UNION ALL
SELECT NULL, NULL, 'nothing: there are no pages to examine', NULL, 'it is a view, a virtual table, or does not exist'
 WHERE NOT EXISTS (SELECT 1 FROM subject)

-- stats: the numbers behind the figure
WITH tree AS (
    -- include: dbstat_pages
     WHERE :table IS NULL OR name = :table
        OR name IN (SELECT i.name FROM {schema}.sqlite_schema AS i WHERE i.type = 'index' AND i.tbl_name = :table)
     GROUP BY name
),
-- include: packed_btrees
SELECT sum(p.cells) FILTER (WHERE p.name = :table) AS rows,
       sum(p.bytes) FILTER (WHERE :table IS NULL OR p.name = :table) AS bytes,
       sum(p.bytes) FILTER (WHERE p.name <> :table) AS index_bytes,
       sum(p.pages) FILTER (WHERE :table IS NULL OR p.name = :table) AS pages,
       sum(p.needed) FILTER (WHERE :table IS NULL OR p.name = :table) AS pages_after,
       sum(p.overflow) FILTER (WHERE :table IS NULL OR p.name = :table) AS overflow_pages,
       sum(p.unused) FILTER (WHERE :table IS NULL OR p.name = :table) AS unused_bytes,
       round(100.0 * sum(p.unused) FILTER (WHERE :table IS NULL OR p.name = :table)
                   / sum(p.bytes) FILTER (WHERE :table IS NULL OR p.name = :table), 1) AS unused_percent,
       f.freelist_count AS database_free_pages,
       c.page_count AS database_pages,
       s.page_size AS page_size
  FROM pragma_freelist_count AS f, pragma_page_count AS c, pragma_page_size AS s
  LEFT JOIN btree AS p ON p.pages IS NOT NULL
