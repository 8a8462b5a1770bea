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
-- Every index. This SQLite was built without dbstat, so sizes and fragmentation of single indexes cannot be known: no
-- index is proposed for a rebuild. An index in SQLite is never half-built or invalid: it is made in one transaction. The
-- primary key of a table WITHOUT ROWID is the table itself and not listed.

-- indexes: one row per index
WITH shadow AS MATERIALIZED (
    -- Tables that a virtual table keeps for itself, by the names SQLite's own modules give them: pragma_table_list
    -- knows them exactly, but only from 3.37, and only where the module is loaded.
    SELECT CAST(v.name || s.column2 AS TEXT) AS name, v.name AS owner
      FROM main.sqlite_schema AS v
      JOIN (VALUES ('%using%fts%', '_content'), ('%using%fts%', '_segments'), ('%using%fts%', '_segdir'),
                   ('%using%fts%', '_docsize'), ('%using%fts%', '_stat'), ('%using%fts%', '_data'),
                   ('%using%fts%', '_idx'), ('%using%fts%', '_config'), ('%using%rtree%', '_node'),
                   ('%using%rtree%', '_rowid'), ('%using%rtree%', '_parent'), ('%using%geopoly%', '_node'),
                   ('%using%geopoly%', '_rowid'), ('%using%geopoly%', '_parent'),
                   ('%using%spellfix1%', '_vocab')) AS s ON v.sql LIKE s.column1
     WHERE v.type = 'table' AND v.rootpage = 0
)
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
