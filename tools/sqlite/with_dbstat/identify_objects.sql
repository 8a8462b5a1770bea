-- name: identify_objects
-- engine: sqlite >= 3.35 with dbstat
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
-- Identify the named tables and views as they are now, so that an approval can be bound to these very objects. Rows and bytes
-- are read page by page with dbstat, for up to 50 tables in a file of up to 8 GiB; otherwise they are NULL. SQL cannot show who
-- else uses the file: `busy_sessions` is NULL.

-- objects: one row per named object that exists
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without one SQLite builds no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
),
-- include: objects,
cheap AS (
    SELECT json_array_length(:tables) <= 50 AND page_count * page_size <= 8589934592 AS cheap
      FROM pragma_page_count, pragma_page_size
), measured AS MATERIALIZED (
    SELECT o.name, sum(d.ncell) FILTER (WHERE d.pagetype = 'leaf' OR d.payload > 0) AS rows, sum(d.pgsize) AS bytes
      FROM cheap JOIN object AS o ON cheap.cheap AND o.kind = 'table'
     CROSS JOIN dbstat('main') AS d ON d.name = o.name  -- in this order, so that only the pages of these tables are read, each once
     GROUP BY o.name
)
SELECT 'main' AS "schema",
       o.name AS "table",
       o.kind AS kind,
       -- SQLite gives objects no number that survives VACUUM (root pages and rowids move), so the definition is used instead.
       o.sql AS oid,
       m.rows AS rows,
       m.bytes AS bytes,
       NULL AS busy_sessions,
       o.indexes AS indexes
  FROM object AS o
  LEFT JOIN measured AS m ON m.name = o.name
 ORDER BY o.name
