-- name: measure_tables
-- engine: sqlite >= 3.35 without dbstat
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list}
--   max_bytes: {type: integer, default: null, minimum: 0, description: "has no effect here: only the file header is read"}
-- returns:
--   tables: rows(tables)
-- examples: [{params: {tables: [{schema: main, table: orders}]}}]
--
-- Measure the free pages of the whole file; there are no figures for single tables. This SQLite was built without dbstat. The
-- columns `database_...` are a lower bound of what VACUUM returns, because half-empty pages are not seen.

-- tables: one row per named table that exists
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without one SQLite builds no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
), whole AS MATERIALIZED (
    SELECT c.page_count AS pages, s.page_size, f.freelist_count AS free
      FROM pragma_page_count AS c, pragma_page_size AS s, pragma_freelist_count AS f
)
SELECT 'main' AS "schema",
       o.name AS "table",
       NULL AS fragmentation_percent,
       NULL AS method,
       NULL AS reclaimable_bytes,
       NULL AS error_points,
       'this SQLite was built without dbstat' AS withheld,
       NULL AS unused_percent,
       round(100.0 * w.free / w.pages, 1) AS database_fragmentation_percent,
       w.free * w.page_size AS database_reclaimable_bytes
  FROM main.sqlite_schema AS o, whole AS w
 WHERE o.type = 'table' AND o.rootpage <> 0 AND coalesce(:max_bytes, 0) >= 0
   AND o.name IN (SELECT name FROM named WHERE "schema" = 'main')
 ORDER BY o.name
