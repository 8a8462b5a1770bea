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
-- List the columns of a table that an archive stores, with the form that preserves each value exactly, and the key by which to
-- read the table. Forms: `plain` if JSON has a type for the values, `real` for FLOAT (whose text is cut to six digits), `bits`
-- for BIT, `hex` for bytes, `utc` for TIMESTAMP (independent of the session's time zone: when daylight saving time ends, an
-- hour occurs twice), and `text` for text, which is cast to the session's character set, so that the checksum of a line covers
-- the bytes that are sent (JSON_OBJECT of latin1 columns alone makes a line in latin1, and of columns in two character sets
-- often none); JSON columns are stored in the line as text. Text is `hex` if its character set does not survive conversion to
-- UTF-8 and back: sets with codes that are not characters (cp1251's 98, ucs2's D800), and sets with several codes for one
-- character (sjis). Generated columns are left out: they are computed again when the rows are loaded. The key is the primary
-- key, if its values sort in MySQL's order when they are sent back.

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

-- key_columns: the columns of the primary key, in order
SELECT s.COLUMN_NAME AS `column`, c.DATA_TYPE AS type
FROM information_schema.STATISTICS AS s
JOIN information_schema.COLUMNS AS c
  ON c.TABLE_SCHEMA = s.TABLE_SCHEMA AND c.TABLE_NAME = s.TABLE_NAME AND c.COLUMN_NAME = s.COLUMN_NAME
WHERE s.TABLE_SCHEMA = :schema AND s.TABLE_NAME = :table AND s.INDEX_NAME = 'PRIMARY'
ORDER BY s.SEQ_IN_INDEX
