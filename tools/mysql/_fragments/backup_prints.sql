-- Blocks that read the contents of the session's database, to compare a restored one with it. Differences without meaning are left
-- out: AUTO_INCREMENT (in Python), definers, whether an event is enabled.

-- here: the session's own database
SELECT DATABASE() AS name

-- defaults: the defaults for new tables
SELECT s.DEFAULT_CHARACTER_SET_NAME AS charset, s.DEFAULT_COLLATION_NAME AS collation
  FROM information_schema.SCHEMATA AS s
 WHERE CAST(s.SCHEMA_NAME AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))

-- tables: tables, views and sequences
SELECT t.TABLE_NAME AS name, t.TABLE_TYPE AS type, t.ENGINE AS engine, COALESCE(e.TRANSACTIONS = 'YES', 0) AS transactional
  FROM information_schema.TABLES AS t
  LEFT JOIN information_schema.ENGINES AS e ON e.ENGINE = t.ENGINE
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
 ORDER BY t.TABLE_NAME

-- columns: the columns of all tables, and the form in which the values of each can be compared
SELECT c.TABLE_NAME AS name, c.COLUMN_NAME AS `column`,
       CASE WHEN c.GENERATION_EXPRESSION IN ('ROW START', 'ROW END') THEN IF(c.DATA_TYPE = 'bigint', 'transaction', 'period')
            WHEN c.DATA_TYPE = 'timestamp' THEN 'utc'
            WHEN c.DATA_TYPE IN ('tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'decimal', 'float', 'double', 'year',
                                 'date', 'time', 'datetime') THEN 'plain'
            WHEN c.DATA_TYPE IN ('char', 'varchar', 'binary', 'varbinary', 'bit', 'enum', 'set', 'uuid', 'inet4', 'inet6')
            THEN 'hex'
            ELSE 'long' END AS form,
       c.DATA_TYPE AS type
  FROM information_schema.COLUMNS AS c
 WHERE c.TABLE_SCHEMA = DATABASE() AND CAST(c.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
 ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION

-- table_definition: one table
SHOW CREATE TABLE {name}

-- view_definition: one view
SHOW CREATE VIEW {name}

-- sequence_definition: one sequence; its current value is not part of any snapshot
SHOW CREATE SEQUENCE {name}

-- rows: the number of rows of a table, and the sum of their hashes, independent of their order
SELECT COUNT(*) AS `rows`,
       COALESCE(SUM(CAST(CONV(LEFT(MD5(CONCAT_WS('#', {values})), 16), 16, 10) AS UNSIGNED)), 0) AS hash
  FROM {name}

-- rows_of_all_times: the same, including the history of a system-versioned table
SELECT COUNT(*) AS `rows`,
       COALESCE(SUM(CAST(CONV(LEFT(MD5(CONCAT_WS('#', {values})), 16), 16, 10) AS UNSIGNED)), 0) AS hash
  FROM {name} FOR SYSTEM_TIME ALL

-- routines: procedures, functions and packages; without a definition if the account may not see it
SELECT LOWER(r.ROUTINE_TYPE) AS kind, r.ROUTINE_NAME AS name, r.DTD_IDENTIFIER AS `returned`, r.ROUTINE_DEFINITION AS `definition`,
       r.IS_DETERMINISTIC AS `deterministic`, r.SQL_DATA_ACCESS AS `access`, r.SECURITY_TYPE AS `security`, r.SQL_MODE AS sql_mode,
       r.ROUTINE_COMMENT AS `comment`
  FROM information_schema.ROUTINES AS r
 WHERE r.ROUTINE_SCHEMA = DATABASE() AND CAST(r.ROUTINE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))

-- parameters: of all routines, in order
SELECT LOWER(p.ROUTINE_TYPE) AS kind, p.SPECIFIC_NAME AS name, p.PARAMETER_MODE AS `mode`, p.PARAMETER_NAME AS `parameter`,
       p.DTD_IDENTIFIER AS type, p.CHARACTER_SET_NAME AS charset
  FROM information_schema.PARAMETERS AS p
 WHERE p.SPECIFIC_SCHEMA = DATABASE() AND CAST(p.SPECIFIC_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND p.ORDINAL_POSITION > 0
 ORDER BY p.SPECIFIC_NAME, p.ROUTINE_TYPE, p.ORDINAL_POSITION

-- triggers: in firing order
SELECT t.TRIGGER_NAME AS name, t.EVENT_OBJECT_TABLE AS `table`, t.ACTION_TIMING AS timing, t.EVENT_MANIPULATION AS event,
       t.ACTION_ORDER AS `position`, t.ACTION_STATEMENT AS `definition`, t.SQL_MODE AS sql_mode
  FROM information_schema.TRIGGERS AS t
 WHERE t.TRIGGER_SCHEMA = DATABASE() AND CAST(t.TRIGGER_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))

-- events: `status` for people; an event that ends by itself no longer exists afterwards
SELECT e.EVENT_NAME AS name, e.STATUS AS status, e.EVENT_DEFINITION AS `definition`, e.EVENT_TYPE AS type,
       e.INTERVAL_VALUE AS `every`, e.INTERVAL_FIELD AS `unit`, e.SQL_MODE AS sql_mode, e.ON_COMPLETION AS completion,
       e.EVENT_COMMENT AS `comment`, e.EXECUTE_AT IS NOT NULL OR e.ENDS IS NOT NULL AS `ends`
  FROM information_schema.EVENTS AS e
 WHERE e.EVENT_SCHEMA = DATABASE() AND CAST(e.EVENT_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
