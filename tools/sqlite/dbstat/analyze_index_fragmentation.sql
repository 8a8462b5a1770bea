-- name: analyze_index_fragmentation
-- engine: sqlite >= 3.35 with dbstat
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- max_execution_time: 600
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
-- returns:
--   indexes: rows(indexes)
-- examples: [{params: {schema: main, table: orders}}]
--
-- How much of each index of the table is worn: the share of its pages that REINDEX would give back to the file. Reads
-- the pages of these indexes only, under a shared lock. 0 after a rebuild, unlike `unused_percent`, the raw share of
-- bytes without an entry: no page is ever filled to the last byte.
--
-- Source of the forecast: on 60 made databases (pages of 1, 4 and 8 KiB, random and ordered keys, overflow, deletes,
-- updates, auto_vacuum) the size after VACUUM was forecast 0.5 % of the file off on average, 3 % at worst, an index after
-- REINDEX 0.3 %, 8 % at worst (few entries of mixed size a page). dbstat.unused divided by the page size was 16 % off, 64 %
-- at worst, because no page is ever filled to the last byte.

-- indexes: one row per index, the most worn first
WITH tree AS (
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
     WHERE name IN (SELECT i.name FROM {schema}.sqlite_schema AS i WHERE i.type = 'index' AND i.tbl_name = :table)
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
)
SELECT p.name AS "index",
       round(100.0 * (p.pages - p.needed) / p.pages, 1) AS fragmentation_percent,
       'dbstat, every page; pages after packing are forecast' AS method,
       p.bytes AS bytes,
       (p.pages - p.needed) * p.page_size AS reclaimable_bytes,
       round(100.0 * p.unused / p.bytes, 1) AS unused_percent,
       p.cells AS entries,
       NULL AS withheld
  FROM btree AS p
 WHERE p.type = 'index' AND p.tbl_name = :table
 ORDER BY (p.pages - p.needed) DESC, p.name
