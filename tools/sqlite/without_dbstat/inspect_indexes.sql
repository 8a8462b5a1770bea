-- name: inspect_indexes
-- engine: sqlite >= 3.35 without dbstat
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- returns:
--   indexes: rows(indexes)
-- examples: [{params: {}}]
--
-- List every index. This SQLite was built without dbstat, so the size and fragmentation of an index are not known and none is
-- proposed for a rebuild. An index in SQLite is never half-built or invalid: it is created in one transaction. The primary key
-- of a table WITHOUT ROWID is the table itself and is not listed.

-- indexes: one row per index
WITH
-- include: shadow_tables
SELECT 'main' AS "schema",
       i.tbl_name AS "table",
       i.name AS index_name,
       0 AS bytes,
       1 AS valid,
       NULL AS fragmentation_percent,
       NULL AS method,
       NULL AS reclaimable_bytes,
       'this SQLite was built without dbstat' AS withheld
  FROM main.sqlite_schema AS i
 WHERE i.type = 'index'
   AND i.tbl_name NOT LIKE 'sqlite\_%' ESCAPE '\'
   AND i.tbl_name NOT IN (SELECT name FROM shadow)
 ORDER BY i.tbl_name, i.name
