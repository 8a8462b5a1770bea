-- name: identify_objects
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
--   objects: rows(objects)
-- examples: [{params: {tables: [{schema: main, table: orders}]}}]
--
-- The named tables and views as they stand now, so that an approval can be bound to this very object. Rows and bytes
-- cannot be had cheaply without dbstat: NULL. Who else uses the file cannot be seen from SQL: `busy_sessions` is NULL.

-- objects: one row per named object that exists
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without it SQLite makes no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
), object AS MATERIALIZED (
    SELECT o.name, o.sql, n."schema", n.position,
           CASE WHEN o.type = 'view' THEN 'view' WHEN o.rootpage = 0 THEN 'virtual' ELSE 'table' END AS kind
      FROM main.sqlite_schema AS o
     CROSS JOIN named AS n ON n.name = o.name
     WHERE o.type IN ('table', 'view') AND n."schema" = 'main'
), owned AS MATERIALIZED (
    -- An index behind UNIQUE or PRIMARY KEY has no definition of its own, its name stands for it.
    SELECT tbl_name, json_group_array(definition) AS indexes
      FROM (SELECT tbl_name, coalesce(sql, name) AS definition
              FROM main.sqlite_schema WHERE type = 'index' ORDER BY tbl_name, name)
     GROUP BY tbl_name
)
SELECT o."schema" AS "schema",
       o.name AS "table",
       o.kind AS kind,
       -- SQLite gives objects no number that outlives VACUUM (root pages and rowids move): the definition stands for it.
       o.sql AS oid,
       NULL AS rows,
       NULL AS bytes,
       NULL AS busy_sessions,
       coalesce(x.indexes, '[]') AS indexes
  FROM object AS o
  LEFT JOIN owned AS x ON x.tbl_name = o.name
 ORDER BY o.position
