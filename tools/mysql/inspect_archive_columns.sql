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
-- session's zone: in summer time an hour has two), `text` for texts: they are cast to the session's character set, so that a line
-- is summed up in the bytes in which it is sent (JSON_OBJECT of latin1 columns alone makes a line in latin1, and of columns in
-- two character sets often none), and JSON stands in the line as the text it is. Texts whose character set does not come back
-- from UTF-8 as it was are `hex`: sets with codes that are no character (cp1251's 98, ucs2's D800), and those with several
-- codes for one character (sjis). Generated columns are left out: they are computed again when the rows are loaded. And the key
-- by which the table is walked: the primary key, if its values compare in MySQL's order when they are sent back.

-- columns: name, type and form of each, in order
SELECT COLUMN_NAME AS `column`, COLUMN_TYPE AS type,
       CASE WHEN DATA_TYPE IN ('float', 'double') THEN 'real' WHEN DATA_TYPE = 'bit' THEN 'bits'
            WHEN DATA_TYPE IN ('binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob', 'geometry', 'point',
                               'linestring', 'polygon', 'multipoint', 'multilinestring', 'multipolygon', 'geometrycollection')
            THEN 'hex'
            WHEN DATA_TYPE = 'json' OR CHARACTER_SET_NAME IN (
                   'utf8mb4', 'utf8mb3', 'utf8', 'utf16', 'utf16le', 'utf32', 'latin1', 'latin2', 'latin5', 'latin7', 'cp850',
                   'cp852', 'cp866', 'koi8r', 'koi8u', 'macce', 'macroman', 'keybcs2') THEN 'text'
            WHEN CHARACTER_SET_NAME IS NOT NULL THEN 'hex'
            WHEN DATA_TYPE = 'timestamp' THEN 'utc' ELSE 'plain' END AS form
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
