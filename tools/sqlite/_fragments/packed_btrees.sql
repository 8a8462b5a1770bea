-- CTEs `filled`, `packed` and `btree`: how many pages each b-tree in `tree` would need after VACUUM or REINDEX.

filled AS (
    -- Number of cells in a page packed by VACUUM or REINDEX: cells of one size leave the remainder of the division free,
    -- mixed sizes half a cell.
    SELECT *, max(1, CASE WHEN largest * cells <= 1.05 * payload
                          THEN CAST((page_size - 8) * cells / cell_bytes AS INTEGER)
                          ELSE (page_size - 8) * cells / cell_bytes - 0.5 END) AS cells_a_page
      FROM tree
), packed AS (
    -- Pages after packing: overflow pages do not change; if there is more than one page, there is also a root page that is
    -- not full and, in a table, inner pages with about 10 bytes for each leaf page.
    SELECT *, min(pages, overflow + coalesce(max(1, CAST(1.0 * cells / cells_a_page + 0.999 AS INTEGER)), 1)
                       + CASE WHEN coalesce(cells <= cells_a_page, 1) THEN 0
                              WHEN keyed THEN 1
                              ELSE 1 + CAST(1.0 * cells / cells_a_page * 10 / page_size AS INTEGER) END) AS needed
      FROM filled
), btree AS MATERIALIZED (
    -- The schema and dbstat, combined by GROUP BY: a join would need an automatic index on 10,000 names, and some versions
    -- of SQLite do not build one.
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
