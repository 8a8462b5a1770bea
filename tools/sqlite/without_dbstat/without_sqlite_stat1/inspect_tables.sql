-- name: inspect_tables
-- engine: sqlite >= 3.35 without dbstat without stat1
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
-- last ANALYZE: both are NULL. `statistics` is `missing` for every table: the file has no sqlite_stat1, so ANALYZE has never
-- been run.

-- tables: one row per table, view and virtual table
WITH
-- include: shadow_tables,
relation AS (
    SELECT name, sql,
           CASE WHEN type = 'view' THEN 'view' WHEN rootpage = 0 THEN 'virtual' ELSE 'table' END AS kind
      FROM main.sqlite_schema
     WHERE type IN ('table', 'view')
       AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
       AND (rootpage = 0 OR name NOT IN (SELECT name FROM shadow))
)
SELECT 'main' AS "schema",
       r.name AS "table",
       r.kind AS kind,
       -- SQLite gives objects no number that survives VACUUM (root pages and rowids move), so the definition is used instead.
       r.sql AS oid,
       'b-tree' AS storage,
       NULL AS rows,
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
       CASE WHEN r.kind = 'table' THEN 'missing' END AS statistics
  FROM relation AS r
 ORDER BY r.name
