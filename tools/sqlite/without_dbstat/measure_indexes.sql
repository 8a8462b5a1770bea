-- name: measure_indexes
-- engine: sqlite >= 3.35 without dbstat
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list}
-- returns:
--   indexes: rows(indexes)
-- examples: [{params: {tables: [{schema: main, table: orders}]}}]
--
-- List the indexes of the named tables without figures. This SQLite was built without dbstat: no index can be measured, so none
-- is rebuilt for its fragmentation.

-- indexes: one row per index of the named tables
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without one SQLite builds no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
)
SELECT 'main' AS "schema",
       i.tbl_name AS "table",
       i.name AS index_name,
       coalesce(i.sql, 'made by a constraint of ' || i.tbl_name) AS definition,
       NULL AS bytes,
       NULL AS pages,
       NULL AS unused,
       NULL AS fragmentation,
       NULL AS method,
       NULL AS reclaimable_bytes,
       'this SQLite was built without dbstat' AS withheld
  FROM main.sqlite_schema AS i
 WHERE i.type = 'index'
   AND i.tbl_name IN (SELECT name FROM named WHERE "schema" = 'main')
 ORDER BY i.tbl_name, index_name
