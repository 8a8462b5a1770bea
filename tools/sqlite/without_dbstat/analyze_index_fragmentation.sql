-- name: analyze_index_fragmentation
-- engine: sqlite >= 3.35 without dbstat
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
-- returns:
--   indexes: rows(indexes)
-- examples: [{params: {schema: main, table: orders}}]
--
-- List the indexes of a table without a figure. This SQLite was built without dbstat, and nothing else shows how full the pages
-- of an index are.

-- indexes: one row per index
SELECT i.name AS "index",
       NULL AS fragmentation_percent,
       NULL AS method,
       NULL AS bytes,
       NULL AS reclaimable_bytes,
       NULL AS unused_percent,
       NULL AS entries,
       'this SQLite was built without dbstat' AS withheld
  FROM {schema}.sqlite_schema AS i
 WHERE i.type = 'index' AND i.tbl_name = :table
 ORDER BY i.name
