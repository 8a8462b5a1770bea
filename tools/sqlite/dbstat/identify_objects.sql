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
-- The named tables and views as they stand now, so that an approval can be bound to this very object. Rows and bytes are
-- read page by page with dbstat, for up to 50 tables in a file of up to 8 GiB; else they are NULL. Who else uses the
-- file cannot be seen from SQL: `busy_sessions` is NULL.

-- objects: one row per named object that exists
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without it SQLite makes no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
),
-- include: objects
, cheap AS (
    SELECT json_array_length(:tables) <= 50 AND page_count * page_size <= 8589934592 AS cheap
      FROM pragma_page_count, pragma_page_size
)
SELECT 'main' AS "schema",
       o.name AS "table",
       o.kind AS kind,
       -- SQLite gives objects no number that outlives VACUUM (root pages and rowids move): the definition stands for it.
       o.sql AS oid,
       CASE WHEN o.kind = 'table' AND cheap.cheap
            THEN (SELECT sum(ncell) FILTER (WHERE pagetype = 'leaf' OR payload > 0)
                    FROM dbstat('main') WHERE dbstat.name = o.name) END AS rows,
       CASE WHEN o.kind = 'table' AND cheap.cheap
            THEN (SELECT pgsize FROM dbstat('main', 1) WHERE dbstat.name = o.name) END AS bytes,
       NULL AS busy_sessions,
       o.indexes AS indexes
  FROM object AS o
  JOIN cheap
 ORDER BY o.name
