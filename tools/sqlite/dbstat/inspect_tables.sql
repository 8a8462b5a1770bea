-- name: inspect_tables
-- engine: sqlite >= 3.35 with dbstat with stat1
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 120
-- idempotent: true
-- returns:
--   tables: rows(tables)
-- examples: [{params: {}}]
--
-- Tables, views and virtual tables with their size, rows and fragmentation. dbstat reads every page of the file once
-- (0.17 s for 420 MB in the cache), which holds a shared lock meanwhile: files over 8 GiB are not read, their sizes and
-- rows are NULL. Rows are counted by dbstat. The tables a virtual table keeps for itself are left out, their bytes counted as the
-- virtual table's. SQLite keeps no count of changes and no time of the last ANALYZE: NULL. `statistics` says
-- instead whether ANALYZE would help: `missing` (no entry for a table that has rows), `stale` (sqlite_stat1 and dbstat
-- disagree on the rows by more than 50 + 10 %, PostgreSQL's rule for its autoanalyze, or an index has no entry),
-- `present`.
--
-- Source of the forecast: on 60 made databases (pages of 1, 4 and 8 KiB, random and ordered keys, overflow, deletes,
-- updates, auto_vacuum) the size after VACUUM was forecast 0.5 % of the file off on average, 3 % at worst, an index after
-- REINDEX 0.3 %, 8 % at worst (few entries of mixed size a page). dbstat.unused divided by the page size was 16 % off, 64 %
-- at worst, because no page is ever filled to the last byte.

-- tables: one row per table, view and virtual table
WITH shadow AS MATERIALIZED (
    -- Tables that a virtual table keeps for itself, by the names SQLite's own modules give them: pragma_table_list
    -- knows them exactly, but only from 3.37, and only where the module is loaded.
    SELECT CAST(v.name || s.column2 AS TEXT) AS name, v.name AS owner
      FROM main.sqlite_schema AS v
      JOIN (VALUES ('%using%fts%', '_content'), ('%using%fts%', '_segments'), ('%using%fts%', '_segdir'),
                   ('%using%fts%', '_docsize'), ('%using%fts%', '_stat'), ('%using%fts%', '_data'),
                   ('%using%fts%', '_idx'), ('%using%fts%', '_config'), ('%using%rtree%', '_node'),
                   ('%using%rtree%', '_rowid'), ('%using%rtree%', '_parent'), ('%using%geopoly%', '_node'),
                   ('%using%geopoly%', '_rowid'), ('%using%geopoly%', '_parent'),
                   ('%using%spellfix1%', '_vocab')) AS s ON v.sql LIKE s.column1
     WHERE v.type = 'table' AND v.rootpage = 0
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
     WHERE (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size) <= 8589934592
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
), unanalysed AS (
    -- Tables with an index made after the last ANALYZE. A partial index may rightly have no entry.
    SELECT DISTINCT tbl_name AS name
      FROM (SELECT tbl_name, name FROM main.sqlite_schema WHERE type = 'index' AND (sql IS NULL OR sql NOT LIKE '%where%')
            EXCEPT
            SELECT tbl, idx FROM main.sqlite_stat1)
), fact AS (
    -- What each source knows of a table, put together by name below.
    SELECT name, sql,
           CASE WHEN type = 'view' THEN 'view' WHEN rootpage = 0 THEN 'virtual' ELSE 'table' END AS kind,
           NULL AS bytes, NULL AS index_bytes, NULL AS cells, NULL AS pages,
           NULL AS needed, NULL AS page_size, NULL AS stat_rows, NULL AS unanalysed
      FROM main.sqlite_schema
     WHERE type IN ('table', 'view')
       AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
       AND (rootpage = 0 OR name NOT IN (SELECT name FROM shadow))
     UNION ALL
    -- The own tables of a virtual table count as its bytes.
    SELECT coalesce(w.owner, b.tbl_name), NULL, NULL,
           sum(b.bytes) FILTER (WHERE b.type = 'table'), sum(b.bytes) FILTER (WHERE b.type = 'index'),
           sum(b.cells) FILTER (WHERE b.type = 'table' AND w.owner IS NULL),
           sum(b.pages) FILTER (WHERE b.type = 'table'), sum(b.needed) FILTER (WHERE b.type = 'table'),
           max(b.page_size), NULL, NULL
      FROM btree AS b
      LEFT JOIN shadow AS w ON w.name = b.tbl_name
     GROUP BY 1
     UNION ALL
    -- The first number of an entry is the table's rows; a partial index counts its own, hence max().
    SELECT tbl, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, max(CAST(stat AS INTEGER)), NULL
      FROM main.sqlite_stat1
     GROUP BY tbl
     UNION ALL
    SELECT name, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1 FROM unanalysed
), relation AS (
    SELECT name, max(sql) AS sql, max(kind) AS kind,
           max(bytes) AS bytes, max(index_bytes) AS index_bytes, max(cells) AS cells, max(pages) AS pages,
           max(needed) AS needed, max(page_size) AS page_size, max(stat_rows) AS stat_rows, max(unanalysed) AS unanalysed
      FROM fact
     GROUP BY name
    HAVING max(kind) IS NOT NULL
)
SELECT 'main' AS "schema",
       r.name AS "table",
       r.kind AS kind,
       -- SQLite gives objects no number that outlives VACUUM (root pages and rowids move): the definition stands for it.
       r.sql AS oid,
       'b-tree' AS storage,
       coalesce(r.cells, r.stat_rows) AS rows,
       r.bytes AS bytes,
       CASE WHEN r.bytes IS NOT NULL THEN coalesce(r.index_bytes, 0) END AS index_bytes,
       NULL AS dead_rows,
       NULL AS modified_rows,
       NULL AS last_analyze,
       NULL AS last_vacuum,
       NULL AS freeze_age_percent,
       (r.pages - r.needed) * r.page_size AS free_bytes,
       round(100.0 * (r.pages - r.needed) / r.pages, 1) AS fragmentation_percent,
       CASE WHEN r.pages IS NOT NULL THEN 'dbstat, every page; pages after packing are forecast' END AS fragmentation_method,
       CASE WHEN r.kind = 'table' AND r.pages IS NULL THEN 'the file is over 8 GiB, dbstat would read all of it' END AS withheld,
       NULL AS writes,
       CASE WHEN r.kind = 'table'
            THEN EXISTS (SELECT 1 FROM pragma_table_info(r.name, 'main') WHERE pk > 0) ELSE 1 END AS has_primary_key,
       CASE WHEN r.kind <> 'table' THEN NULL
            WHEN r.cells = 0 THEN 'present'
            WHEN r.stat_rows IS NULL THEN 'missing'
            WHEN abs(r.stat_rows - r.cells) > 50 + r.cells / 10 OR r.unanalysed THEN 'stale'
            ELSE 'present' END AS statistics
  FROM relation AS r
 ORDER BY r.bytes DESC, r.name
