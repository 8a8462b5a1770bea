-- name: inspect_archive_columns
-- engine: mariadb >= 10.6, mysql >= 8
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
-- examples: [{params: {schema: shop, table: app_log}}]
--
-- The columns of a table that an archive keeps, and the form in which their values lose nothing: `plain` where JSON has a type
-- for them, `real` for FLOAT (whose text is cut at six digits), `bits` for BIT, `hex` for bytes, `utc` for TIMESTAMP (whatever the
-- session's zone: in summer time an hour has two), `text` for JSON, whose own text
-- is kept (MariaDB's JSON is a LONGTEXT, and without the cast it would stand in the line as an object). Generated columns are left out: they are computed again when the rows are loaded. And the key by which
-- the table is walked: the primary key, if its values compare in MySQL's order when they are sent back.

-- columns: name, type and form of each, in order
SELECT COLUMN_NAME AS `column`, COLUMN_TYPE AS type,
       CASE WHEN DATA_TYPE IN ('float', 'double') THEN 'real' WHEN DATA_TYPE = 'bit' THEN 'bits'
            WHEN DATA_TYPE IN ('binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob', 'geometry', 'point',
                               'linestring', 'polygon', 'multipoint', 'multilinestring', 'multipolygon', 'geometrycollection')
            THEN 'hex'
            WHEN DATA_TYPE IN ('longtext', 'json') THEN 'text' WHEN DATA_TYPE = 'timestamp' THEN 'utc' ELSE 'plain' END AS form
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = :schema AND TABLE_NAME = :table AND EXTRA NOT LIKE '%GENERATED%'
ORDER BY ORDINAL_POSITION

-- key_columns: the columns of the primary key, in its order
SELECT s.COLUMN_NAME AS `column`, c.DATA_TYPE AS type
FROM information_schema.STATISTICS AS s
JOIN information_schema.COLUMNS AS c
  ON c.TABLE_SCHEMA = s.TABLE_SCHEMA AND c.TABLE_NAME = s.TABLE_NAME AND c.COLUMN_NAME = s.COLUMN_NAME
WHERE s.TABLE_SCHEMA = :schema AND s.TABLE_NAME = :table AND s.INDEX_NAME = 'PRIMARY'
ORDER BY s.SEQ_IN_INDEX
