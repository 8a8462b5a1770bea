-- CTE `shadow`: tables that belong to a virtual table.

shadow AS MATERIALIZED (
    -- Shadow tables of virtual tables, by the names that SQLite's own modules give them: pragma_table_list knows them
    -- exactly, but only from 3.37 on, and only if the module is loaded.
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
