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
--   max_bytes: {type: integer, default: null, minimum: 0, description: "a larger file is not read, its figures are withheld"}
-- returns:
--   tables: rows(tables)
-- examples: [{params: {tables: [{schema: main, table: orders}]}}]
--
-- The named tables measured page by page, and in the columns `database_...` the whole file, since VACUUM, the only
-- statement that gives space back, rewrites all of it. Reads every page once, under a shared lock.
-- `unused_percent` is the raw share of bytes no row uses; `fragmentation_percent` the share of pages that packing frees.
--
-- Source of the forecast: on 60 made databases (pages of 1, 4 and 8 KiB, random and ordered keys, overflow, deletes,
-- updates, auto_vacuum) the size after VACUUM was forecast 0.5 % of the file off on average, 3 % at worst, an index after
-- REINDEX 0.3 %, 8 % at worst (few entries of mixed size a page). dbstat.unused divided by the page size was 16 % off, 64 %
-- at worst, because no page is ever filled to the last byte.

-- tables: one row per named table that exists, the largest gain first
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without it SQLite makes no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
), tree AS (
    -- One row per b-tree, that is per table and per index. A table's rows are on its leaf pages; an index (and a table
    -- WITHOUT ROWID) has entries on its inner pages too.
    SELECT name, count(*) AS pages, sum(pgsize) AS bytes, sum(unused) AS unused, max(pgsize) AS page_size,
           sum(pagetype = 'overflow') AS overflow, max(mx_payload) AS largest,
           max(pagetype = 'internal' AND payload > 0) AS keyed,
           sum(payload) FILTER (WHERE pagetype <> 'overflow') AS payload,
           sum(ncell) FILTER (WHERE pagetype = 'leaf' OR payload > 0) AS cells,
           total(pgsize - 8 - unused)
               FILTER (WHERE pagetype = 'leaf' OR pagetype = 'internal' AND payload > 0) AS cell_bytes
      FROM dbstat('main')
     WHERE (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size) <= coalesce(:max_bytes, 1 << 62)
     GROUP BY name
), filled AS (
    -- Cells a page holds when VACUUM or REINDEX packs it: cells of one size leave the remainder of the division free,
    -- mixed sizes half a cell.
    SELECT *, max(1, CASE WHEN largest * cells <= 1.05 * payload
                          THEN CAST((page_size - 8) * cells / cell_bytes AS INTEGER)
                          ELSE (page_size - 8) * cells / cell_bytes - 0.5 END) AS cells_a_page
      FROM tree
), packed AS (
    -- Pages after packing: overflow pages stay as they are; above more than one page stand a root page that is not full
    -- and, in a table, inner pages with about 10 bytes for each leaf page.
    SELECT *, min(pages, overflow + coalesce(max(1, CAST(1.0 * cells / cells_a_page + 0.999 AS INTEGER)), 1)
                       + CASE WHEN coalesce(cells <= cells_a_page, 1) THEN 0
                              WHEN keyed THEN 1
                              ELSE 1 + CAST(1.0 * cells / cells_a_page * 10 / page_size AS INTEGER) END) AS needed
      FROM filled
), btree AS MATERIALIZED (
    -- What the schema and dbstat know, put together by GROUP BY: a join needs an automatic index on 10,000 names, and some
    -- versions of SQLite do not make one.
    SELECT name, max(type) AS type, max(tbl_name) AS tbl_name, max(sql) AS sql, max(pages) AS pages, max(needed) AS needed,
           max(bytes) AS bytes, max(unused) AS unused, max(overflow) AS overflow, max(cells) AS cells,
           max(cells_a_page) AS cells_a_page, max(page_size) AS page_size
      FROM (SELECT name, type, tbl_name, sql, NULL AS pages, NULL AS needed, NULL AS bytes, NULL AS unused,
                   NULL AS overflow, NULL AS cells, NULL AS cells_a_page, NULL AS page_size
              FROM main.sqlite_schema WHERE type IN ('table', 'index') AND rootpage <> 0
             UNION ALL
            SELECT name, NULL, NULL, NULL, pages, needed, bytes, unused, overflow, cells, cells_a_page, page_size
              FROM packed)
     GROUP BY name
), whole AS MATERIALIZED (
    -- The file after VACUUM: all b-trees packed, no free pages, and with auto_vacuum one pointer-map page per page_size/5.
    SELECT c.page_count AS pages, s.page_size, f.freelist_count AS free,
           min(c.page_count - f.freelist_count,
               t.needed + CASE WHEN v.auto_vacuum THEN t.needed * 5 / s.page_size + 1 ELSE 0 END) AS needed
      FROM pragma_page_count AS c, pragma_page_size AS s, pragma_freelist_count AS f, pragma_auto_vacuum AS v,
           (SELECT sum(needed) AS needed FROM btree) AS t
)
SELECT 'main' AS "schema",
       p.name AS "table",
       round(100.0 * (p.pages - p.needed) / p.pages, 1) AS fragmentation_percent,
       CASE WHEN p.pages IS NOT NULL THEN 'dbstat, every page; pages after packing are forecast' END AS method,
       (p.pages - p.needed) * p.page_size AS reclaimable_bytes,
       CASE WHEN p.cells_a_page < 4 THEN 10 WHEN p.pages IS NOT NULL THEN 2 END AS error_points,
       CASE WHEN p.pages IS NULL THEN 'the file is larger than max_bytes, dbstat would read all of it' END AS withheld,
       round(100.0 * p.unused / p.bytes, 1) AS unused_percent,
       round(100.0 * (w.pages - w.needed) / w.pages, 1) AS database_fragmentation_percent,
       (w.pages - w.needed) * w.page_size AS database_reclaimable_bytes
  FROM btree AS p, whole AS w
 WHERE p.type = 'table' AND p.name IN (SELECT name FROM named WHERE "schema" = 'main')
 ORDER BY reclaimable_bytes DESC, p.name
