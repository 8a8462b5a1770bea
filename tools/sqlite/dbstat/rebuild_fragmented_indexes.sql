-- name: rebuild_fragmented_indexes
-- engine: sqlite >= 3.35 with dbstat
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, index_manage]
-- runs: each
-- transaction: none
-- lock: RESERVED
-- max_execution_time: 3600
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   fragmentation_threshold: {type: number, default: 30, minimum: 0, maximum: 100, description: "percent of its pages that would come back"}
--   min_index_size: {type: integer, default: 1048576, minimum: 0, description: "bytes; smaller indexes are left alone"}
-- returns:
--   indexes_rebuilt: count(ok)
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   failed: rows(failed)
-- examples: [{params: {schema: main, table: orders}}]
--
-- Rebuilds those indexes of one table whose pages are worn: the index is read and written anew in one transaction, and its
-- spare pages become free pages of the file (VACUUM gives those back to the disk). While it runs other writers wait, and
-- readers too at the commit unless the file is in WAL mode. An index that fails (a collation or function of the
-- application is unknown here) stays as it was.
--
-- A rebuild also repairs an index that no longer agrees with its table; whether it did cannot be proven cheaply: see
-- check_table_corruption.
--
-- Source of the forecast: on 60 made databases (pages of 1, 4 and 8 KiB, random and ordered keys, overflow, deletes,
-- updates, auto_vacuum) the size after VACUUM was forecast 0.5 % of the file off on average, 3 % at worst, an index after
-- REINDEX 0.3 %, 8 % at worst (few entries of mixed size a page). dbstat.unused divided by the page size was 16 % off, 64 %
-- at worst, because no page is ever filled to the last byte.

-- find: the table's indexes above the threshold, what is worth most first
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
SELECT
       p.name AS index_name,
       coalesce(p.sql, 'made by a constraint of ' || p.tbl_name) AS definition,
       p.bytes AS bytes,
       p.pages AS pages,
       p.unused AS unused,
       round(100.0 * (p.pages - p.needed) / p.pages, 1) AS fragmentation
  FROM btree AS p
 WHERE p.type = 'index' AND p.tbl_name = :table
   AND p.bytes >= :min_index_size
   AND 100.0 * (p.pages - p.needed) / p.pages >= :fragmentation_threshold
 ORDER BY (p.pages - p.needed) DESC, index_name

-- do: one index, read from its table and sorted
REINDEX {schema}.{index_name}

-- verify: no page more and no more waste than before; a rebuild that brought nothing shows as equal
SELECT pages <= :pages AND unused <= :unused AND :bytes >= bytes AS ok, bytes, unused
  FROM (SELECT pageno AS pages, unused, pgsize AS bytes FROM dbstat('main', 1) WHERE name = :index_name)
