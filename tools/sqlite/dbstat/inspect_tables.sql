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
), tree AS MATERIALIZED (
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
), sized AS MATERIALIZED (
    SELECT CAST(coalesce(w.owner, s.tbl_name) AS TEXT) AS name,
           sum(p.bytes) FILTER (WHERE s.type = 'table') AS bytes,
           sum(p.bytes) FILTER (WHERE s.type = 'index') AS index_bytes,
           sum(p.cells) FILTER (WHERE s.type = 'table' AND w.owner IS NULL) AS cells,
           sum(p.pages) FILTER (WHERE s.type = 'table') AS pages,
           sum(p.needed) FILTER (WHERE s.type = 'table') AS needed,
           max(p.page_size) AS page_size
      FROM main.sqlite_schema AS s
     CROSS JOIN packed AS p ON p.name = s.name
      LEFT JOIN shadow AS w ON w.name = s.tbl_name
     WHERE s.type IN ('table', 'index')
     GROUP BY 1
), analysed AS MATERIALIZED (
    -- The first number of an entry is the table's rows; a partial index counts its own, hence max().
    SELECT CAST(tbl AS TEXT) AS name, max(CAST(stat AS INTEGER)) AS stat_rows FROM main.sqlite_stat1 GROUP BY tbl
), unanalysed AS MATERIALIZED (
    -- Tables with an index made after the last ANALYZE. A partial index may rightly have no entry.
    SELECT DISTINCT CAST(tbl_name AS TEXT) AS name
      FROM (SELECT tbl_name, name FROM main.sqlite_schema WHERE type = 'index' AND (sql IS NULL OR sql NOT LIKE '%where%')
            EXCEPT
            SELECT tbl, idx FROM main.sqlite_stat1)
), relation AS MATERIALIZED (
    SELECT o.name, o.sql,
           CASE WHEN o.type = 'view' THEN 'view' WHEN o.rootpage = 0 THEN 'virtual' ELSE 'table' END AS kind
      FROM main.sqlite_schema AS o
     WHERE o.type IN ('table', 'view')
       AND o.name NOT LIKE 'sqlite\_%' ESCAPE '\'
       AND NOT (o.rootpage <> 0 AND o.name IN (SELECT name FROM shadow))
)
SELECT 'main' AS "schema",
       r.name AS "table",
       r.kind AS kind,
       -- SQLite gives objects no number that outlives VACUUM (root pages and rowids move): the definition stands for it.
       r.sql AS oid,
       'b-tree' AS storage,
       coalesce(z.cells, a.stat_rows) AS rows,
       z.bytes AS bytes,
       CASE WHEN z.bytes IS NOT NULL THEN coalesce(z.index_bytes, 0) END AS index_bytes,
       NULL AS dead_rows,
       NULL AS modified_rows,
       NULL AS last_analyze,
       NULL AS last_vacuum,
       NULL AS freeze_age_percent,
       (z.pages - z.needed) * z.page_size AS free_bytes,
       round(100.0 * (z.pages - z.needed) / z.pages, 1) AS fragmentation_percent,
       CASE WHEN z.pages IS NOT NULL THEN 'dbstat, every page; pages after packing are forecast' END AS fragmentation_method,
       CASE WHEN r.kind = 'table' AND z.pages IS NULL THEN 'the file is over 8 GiB, dbstat would read all of it' END AS withheld,
       NULL AS writes,
       CASE WHEN r.kind = 'table'
            THEN EXISTS (SELECT 1 FROM pragma_table_info(r.name, 'main') WHERE pk > 0) ELSE 1 END AS has_primary_key,
       CASE WHEN r.kind <> 'table' THEN NULL
            WHEN z.cells = 0 THEN 'present'
            WHEN a.stat_rows IS NULL THEN 'missing'
            WHEN abs(a.stat_rows - z.cells) > 50 + z.cells / 10 OR u.name IS NOT NULL THEN 'stale'
            ELSE 'present' END AS statistics
  FROM relation AS r
  LEFT JOIN sized AS z ON z.name = r.name
  LEFT JOIN analysed AS a ON a.name = r.name AND r.kind = 'table'
  LEFT JOIN unanalysed AS u ON u.name = r.name
 ORDER BY z.bytes DESC, r.name
