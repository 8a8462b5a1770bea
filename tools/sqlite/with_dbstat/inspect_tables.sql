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
-- List tables, views and virtual tables with their size, rows and fragmentation. dbstat reads every page of the file once (0.17
-- s for 420 MB in the cache) under a shared lock; files over 8 GiB are not read, and sizes are NULL. dbstat counts the rows;
-- without it they are those of the last ANALYZE. The shadow tables of a virtual table are left out, and their bytes counted as
-- the virtual table's. SQLite keeps no count of changes and no time of the last ANALYZE: both are NULL. `statistics` says
-- instead whether ANALYZE would help: `missing` (no entry for a table that has rows), `stale` (sqlite_stat1 and dbstat disagree
-- on the rows by more than 50 + 10 %, PostgreSQL's rule for autoanalyze, or an index has no entry), or `present`.
--
-- Source of the forecast: on 60 test databases (pages of 1, 4 and 8 KiB, random and ordered keys, overflow, deletes, updates,
-- auto_vacuum) the forecast of the size after VACUUM was off by 0.5 % of the file on average, 3 % at worst; that of an index
-- after REINDEX by 0.3 %, 8 % at worst (few entries of mixed size per page). dbstat.unused divided by the page size was off by
-- 16 %, 64 % at worst, because no page is ever filled to the last byte.

-- tables: one row per table, view and virtual table
WITH
-- include: shadow_tables,
tree AS (
    -- include: dbstat_pages
     WHERE (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size) <= 8589934592
     GROUP BY name
),
-- include: packed_btrees,
unanalysed AS (
    -- Tables with an index created after the last ANALYZE. A partial index may validly have no entry.
    SELECT DISTINCT tbl_name AS name
      FROM (SELECT tbl_name, name FROM main.sqlite_schema WHERE type = 'index' AND (sql IS NULL OR sql NOT LIKE '%where%')
            EXCEPT
            SELECT tbl, idx FROM main.sqlite_stat1)
), fact AS (
    -- What each source knows about a table, combined by name below.
    SELECT name, sql,
           CASE WHEN type = 'view' THEN 'view' WHEN rootpage = 0 THEN 'virtual' ELSE 'table' END AS kind,
           NULL AS bytes, NULL AS index_bytes, NULL AS cells, NULL AS pages,
           NULL AS needed, NULL AS page_size, NULL AS stat_rows, NULL AS unanalysed
      FROM main.sqlite_schema
     WHERE type IN ('table', 'view')
       AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
       AND (rootpage = 0 OR name NOT IN (SELECT name FROM shadow))
     UNION ALL
    -- The bytes of shadow tables count as the virtual table's.
    SELECT coalesce(w.owner, b.tbl_name), NULL, NULL,
           sum(b.bytes) FILTER (WHERE b.type = 'table'), sum(b.bytes) FILTER (WHERE b.type = 'index'),
           sum(b.cells) FILTER (WHERE b.type = 'table' AND w.owner IS NULL),
           sum(b.pages) FILTER (WHERE b.type = 'table'), sum(b.needed) FILTER (WHERE b.type = 'table'),
           max(b.page_size), NULL, NULL
      FROM btree AS b
      LEFT JOIN shadow AS w ON w.name = b.tbl_name
     GROUP BY 1
     UNION ALL
    -- The first number of an entry is the table's row count; that of a partial index counts only its own rows, hence max().
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
       -- SQLite gives objects no number that survives VACUUM (root pages and rowids move), so the definition is used instead.
       r.sql AS oid,
       'b-tree' AS storage,
       coalesce(r.cells, r.stat_rows) AS rows,
       r.bytes AS bytes,
       CASE WHEN r.bytes IS NOT NULL THEN coalesce(r.index_bytes, 0) END AS index_bytes,
       NULL AS dead_rows,
       NULL AS live_rows,
       NULL AS modified_rows,
       NULL AS last_analyze,
       NULL AS last_vacuum,
       NULL AS freeze_age_percent,
       (r.pages - r.needed) * r.page_size AS free_bytes,
       round(100.0 * (r.pages - r.needed) / r.pages, 1) AS fragmentation_percent,
       CASE WHEN r.pages IS NOT NULL THEN 'dbstat, every page; pages after packing are forecast' END AS fragmentation_method,
       CASE WHEN r.kind = 'table' AND r.pages IS NULL THEN 'the file is over 8 GiB, and dbstat would read all of it' END AS withheld,
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
