-- name: inspect_tables
-- engine: sqlite >= 3.35 without dbstat with stat1
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
-- List tables, views and virtual tables. This SQLite was built without dbstat, so the size and fragmentation of a table are not
-- known: they are NULL. The shadow tables of a virtual table are left out. SQLite keeps no count of changes and no time of the
-- last ANALYZE: both are NULL. Row counts are those of the last ANALYZE. `statistics` is `missing` (no entry: never analyzed,
-- or empty then), `stale` (an index has no entry) or `present`: without dbstat, how much has changed since cannot be found out
-- cheaply.

-- tables: one row per table, view and virtual table
WITH
-- include: shadow_tables,
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
           NULL AS stat_rows, NULL AS unanalysed
      FROM main.sqlite_schema
     WHERE type IN ('table', 'view')
       AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
       AND (rootpage = 0 OR name NOT IN (SELECT name FROM shadow))
     UNION ALL
    -- The first number of an entry is the table's row count; that of a partial index counts only its own rows, hence max().
    SELECT tbl, NULL, NULL, max(CAST(stat AS INTEGER)), NULL
      FROM main.sqlite_stat1
     GROUP BY tbl
     UNION ALL
    SELECT name, NULL, NULL, NULL, 1 FROM unanalysed
), relation AS (
    SELECT name, max(sql) AS sql, max(kind) AS kind,
           max(stat_rows) AS stat_rows, max(unanalysed) AS unanalysed
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
       r.stat_rows AS rows,
       NULL AS bytes,
       NULL AS index_bytes,
       NULL AS dead_rows,
       NULL AS live_rows,
       NULL AS modified_rows,
       NULL AS last_analyze,
       NULL AS last_vacuum,
       NULL AS freeze_age_percent,
       NULL AS free_bytes,
       NULL AS fragmentation_percent,
       NULL AS fragmentation_method,
       CASE WHEN r.kind = 'table' THEN 'this SQLite was built without dbstat' END AS withheld,
       NULL AS writes,
       CASE WHEN r.kind = 'table'
            THEN EXISTS (SELECT 1 FROM pragma_table_info(r.name, 'main') WHERE pk > 0) ELSE 1 END AS has_primary_key,
       CASE WHEN r.kind <> 'table' THEN NULL
            WHEN r.stat_rows IS NULL THEN 'missing'
            WHEN r.unanalysed THEN 'stale'
            ELSE 'present' END AS statistics
  FROM relation AS r
 ORDER BY r.name
