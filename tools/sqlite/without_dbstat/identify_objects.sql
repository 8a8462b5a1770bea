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
-- Identify the named tables and views as they are now, so that an approval can be bound to these very objects. Without dbstat,
-- rows and bytes cannot be read cheaply: they are NULL. SQL cannot show who else uses the file: `busy_sessions` is NULL.

-- objects: one row per named object that exists
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without one SQLite builds no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
),
-- include: objects
SELECT 'main' AS "schema",
       o.name AS "table",
       o.kind AS kind,
       -- SQLite gives objects no number that survives VACUUM (root pages and rowids move), so the definition is used instead.
       o.sql AS oid,
       NULL AS rows,
       NULL AS bytes,
       NULL AS busy_sessions,
       o.indexes AS indexes
  FROM object AS o
 ORDER BY o.name
