-- name: measure_tables
-- engine: sqlite >= 3.35 with dbstat
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 600
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list}
--   max_bytes: {type: integer, default: null, minimum: 0, description: "a larger file is not read, and its figures are withheld"}
-- returns:
--   tables: rows(tables)
-- examples: [{params: {tables: [{schema: main, table: orders}]}}]
--
-- Measure the fragmentation of the named tables and of the whole file page by page. The columns `database_...` are about the
-- whole file, since VACUUM, the only statement that returns space, rewrites all of it. Reads every page once, under a shared
-- lock. `unused_percent` is the raw share of unused bytes, `fragmentation_percent` the share of pages that packing frees.
--
-- Source of the forecast: on 60 test databases (pages of 1, 4 and 8 KiB, random and ordered keys, overflow, deletes, updates,
-- auto_vacuum) the forecast of the size after VACUUM was off by 0.5 % of the file on average, 3 % at worst; that of an index
-- after REINDEX by 0.3 %, 8 % at worst (few entries of mixed size per page). dbstat.unused divided by the page size was off by
-- 16 %, 64 % at worst, because no page is ever filled to the last byte.

-- tables: one row per named table that exists, the largest gain first
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without one SQLite builds no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
), tree AS (
    -- include: dbstat_pages
     WHERE (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size) <= coalesce(:max_bytes, 1 << 62)
     GROUP BY name
),
-- include: packed_btrees,
-- include: whole_file
SELECT 'main' AS "schema",
       p.name AS "table",
       round(100.0 * (p.pages - p.needed) / p.pages, 1) AS fragmentation_percent,
       CASE WHEN p.pages IS NOT NULL THEN 'dbstat, every page; pages after packing are forecast' END AS method,
       (p.pages - p.needed) * p.page_size AS reclaimable_bytes,
       CASE WHEN p.cells_a_page < 4 THEN 10 WHEN p.pages IS NOT NULL THEN 2 END AS error_points,
       CASE WHEN p.pages IS NULL THEN 'the file is larger than max_bytes, and dbstat would read all of it' END AS withheld,
       round(100.0 * p.unused / p.bytes, 1) AS unused_percent,
       round(100.0 * (w.pages - w.needed) / w.pages, 1) AS database_fragmentation_percent,
       (w.pages - w.needed) * w.page_size AS database_reclaimable_bytes
  FROM btree AS p, whole AS w
 WHERE p.type = 'table' AND p.name IN (SELECT name FROM named WHERE "schema" = 'main')
 ORDER BY reclaimable_bytes DESC, p.name
