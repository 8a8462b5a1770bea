-- name: measure_indexes
-- engine: sqlite >= 3.35 with dbstat
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 600
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list}
-- returns:
--   indexes: rows(indexes)
-- examples: [{params: {tables: [{schema: main, table: orders}]}}]
--
-- Measure the fragmentation of the indexes of the named tables page by page. Uses the expressions of `find` in
-- rebuild_fragmented_indexes. Makes one pass over the file with dbstat, under a shared lock.
--
-- Source of the forecast: on 60 test databases (pages of 1, 4 and 8 KiB, random and ordered keys, overflow, deletes, updates,
-- auto_vacuum) the forecast of the size after VACUUM was off by 0.5 % of the file on average, 3 % at worst; that of an index
-- after REINDEX by 0.3 %, 8 % at worst (few entries of mixed size per page). dbstat.unused divided by the page size was off by
-- 16 %, 64 % at worst, because no page is ever filled to the last byte.

-- indexes: one row per index of the named tables, the largest gain first
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without one SQLite builds no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
), tree AS (
    -- include: dbstat_pages
     GROUP BY name
),
-- include: packed_btrees
SELECT 'main' AS "schema",
       p.tbl_name AS "table",
       p.name AS index_name,
       coalesce(p.sql, 'made by a constraint of ' || p.tbl_name) AS definition,
       p.bytes AS bytes,
       p.pages AS pages,
       p.unused AS unused,
       round(100.0 * (p.pages - p.needed) / p.pages, 1) AS fragmentation,
       'dbstat, every page; pages after packing are forecast' AS method,
       (p.pages - p.needed) * p.page_size AS reclaimable_bytes,
       NULL AS withheld
  FROM btree AS p
 WHERE p.type = 'index'
   AND p.tbl_name IN (SELECT name FROM named WHERE "schema" = 'main')
 ORDER BY reclaimable_bytes DESC, index_name
