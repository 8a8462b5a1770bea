-- name: inspect_archive_columns
-- engine: sqlite >= 3.37
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 30
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
-- returns:
--   columns: rows(columns)
--   key: rows(key_columns)
-- examples: [{params: {schema: main, table: app_log}}]
--
-- List the columns of a table that an archive stores, and the key by which to read it. SQLite values carry their own types, so
-- one form fits all columns. Generated columns are left out: they are computed again when the rows are loaded. The key is the
-- primary key of a WITHOUT ROWID table, else the first name of the rowid that no column uses.

-- columns: name and declared type of each, in order
SELECT x.name AS column, x.type AS type, 'any' AS form
FROM pragma_table_xinfo(:table, :schema) AS x
WHERE x.hidden = 0
ORDER BY x.cid

-- key_columns: the row id, or the primary key in its order
SELECT k.column AS column, k.type AS type
FROM (SELECT x.name AS column, x.type AS type, x.pk AS place
      FROM pragma_table_xinfo(:table, :schema) AS x
      WHERE x.pk > 0 AND (SELECT l.wr FROM pragma_table_list AS l WHERE l.name = :table AND l.schema = :schema)
      UNION ALL
      SELECT r.alias, 'INTEGER', 0
      FROM (SELECT 'rowid' AS alias, 1 AS place UNION ALL SELECT '_rowid_', 2 UNION ALL SELECT 'oid', 3) AS r
      WHERE NOT (SELECT l.wr FROM pragma_table_list AS l WHERE l.name = :table AND l.schema = :schema)
        AND r.place = (SELECT min(f.place)
                       FROM (SELECT 'rowid' AS alias, 1 AS place UNION ALL SELECT '_rowid_', 2 UNION ALL SELECT 'oid', 3) AS f
                       WHERE NOT EXISTS (SELECT 1 FROM pragma_table_xinfo(:table, :schema) AS c
                                         WHERE lower(c.name) = f.alias))) AS k
ORDER BY k.place
