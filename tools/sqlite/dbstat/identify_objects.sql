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
), cheap AS (
    SELECT json_array_length(:tables) <= 50 AND page_count * page_size <= 8589934592 AS cheap FROM pragma_page_count, pragma_page_size
)
SELECT o."schema" AS "schema",
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
       coalesce(x.indexes, '[]') AS indexes
  FROM object AS o
  LEFT JOIN owned AS x ON x.tbl_name = o.name
  JOIN cheap
 ORDER BY o.position
