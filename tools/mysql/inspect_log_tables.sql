-- name: inspect_log_tables
-- engine: mysql >= 8, mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list, description: 'tables as {schema, table}'}
-- returns:
--   columns: rows(columns)
--   children: rows(children)
--   triggers: rows(triggers)
-- examples: [{params: {tables: [{schema: shop, table: app_log}]}}]
--
-- List what must be known about tables before their rows are deleted: columns, referencing foreign keys and triggers. Says
-- which columns an index begins with, what the foreign keys that reference the tables do on a delete, and which triggers a
-- delete fires. Reads the catalog only (3 s for a database of 10,000 tables). The server shows only what the account has
-- privileges for: any on the referencing tables, in other databases too, and TRIGGER on the tables; what it does not show is in
-- effect all the same.

-- columns: each column in order; `indexed`: a BTREE index begins with the whole column; `key_position`: its position in the primary
-- key; `partition_key`: the table is partitioned by ranges of it
WITH
-- include: named,
placed AS (
    -- Grouped by column here, so that the server builds a key for the join: without one 1,000 tables take 10 s.
    SELECT CAST(i.TABLE_NAME AS BINARY(256)) AS name, i.COLUMN_NAME AS column_name,
           MAX(i.SEQ_IN_INDEX = 1 AND i.INDEX_TYPE = 'BTREE' AND i.SUB_PART IS NULL) AS indexed,
           MAX(CASE WHEN i.INDEX_NAME = 'PRIMARY' THEN i.SEQ_IN_INDEX END) AS key_position
      FROM information_schema.STATISTICS AS i
      JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows for a key
     WHERE i.TABLE_SCHEMA = DATABASE()
     GROUP BY CAST(i.TABLE_NAME AS BINARY(256)), i.COLUMN_NAME
), divided AS (
    SELECT CAST(p.TABLE_NAME AS BINARY(256)) AS name, LOWER(MIN(p.PARTITION_EXPRESSION)) AS expression
      FROM information_schema.PARTITIONS AS p
     WHERE p.TABLE_SCHEMA = DATABASE() AND p.PARTITION_METHOD IN ('RANGE', 'RANGE COLUMNS')
     GROUP BY CAST(p.TABLE_NAME AS BINARY(256))
)
SELECT c.TABLE_SCHEMA AS `schema`, c.TABLE_NAME AS `table`, c.COLUMN_NAME AS `column`, c.ORDINAL_POSITION AS position,
       c.COLUMN_TYPE AS type, c.IS_NULLABLE = 'YES' AS nullable, COALESCE(c.GENERATION_EXPRESSION, '') <> '' AS `generated`,
       COALESCE(i.indexed, 0) AS indexed, i.key_position AS key_position,
       COALESCE(d.expression IN (LOWER(CONCAT('`', REPLACE(c.COLUMN_NAME, '`', '``'), '`')),
                                 LOWER(CONCAT('to_days(`', REPLACE(c.COLUMN_NAME, '`', '``'), '`)')),
                                 LOWER(CONCAT('year(`', REPLACE(c.COLUMN_NAME, '`', '``'), '`)')),
                                 LOWER(CONCAT('unix_timestamp(`', REPLACE(c.COLUMN_NAME, '`', '``'), '`)'))), FALSE) AS partition_key
  FROM named AS a
  JOIN information_schema.COLUMNS AS c ON c.TABLE_SCHEMA = DATABASE() AND CAST(c.TABLE_NAME AS BINARY(256)) = a.name
  LEFT JOIN placed AS i ON i.name = a.name AND i.column_name = c.COLUMN_NAME
  LEFT JOIN divided AS d ON d.name = a.name
 ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION

-- children: tables whose foreign keys reference these; `on_delete`: cascade | set null | no action
-- (RESTRICT, NO ACTION and SET DEFAULT are the same to InnoDB, and it requires an index for every foreign key)
WITH
-- include: named,
ruled AS (
    -- DISTINCT materializes it, and the server builds a key for it as above.
    SELECT DISTINCT r.CONSTRAINT_SCHEMA, r.TABLE_NAME, r.CONSTRAINT_NAME, r.DELETE_RULE
      FROM information_schema.REFERENTIAL_CONSTRAINTS AS r
      JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one
)
SELECT k.REFERENCED_TABLE_SCHEMA AS `schema`, k.REFERENCED_TABLE_NAME AS `table`,
       k.TABLE_SCHEMA AS child_schema, k.TABLE_NAME AS child_table, k.CONSTRAINT_NAME AS name,
       CASE r.DELETE_RULE WHEN 'CASCADE' THEN 'cascade' WHEN 'SET NULL' THEN 'set null' ELSE 'no action' END AS on_delete,
       CONCAT('[', GROUP_CONCAT(JSON_QUOTE(k.COLUMN_NAME) ORDER BY k.ORDINAL_POSITION SEPARATOR ', '), ']') AS child_columns,
       CONCAT('[', GROUP_CONCAT(JSON_QUOTE(k.REFERENCED_COLUMN_NAME) ORDER BY k.ORDINAL_POSITION SEPARATOR ', '), ']')
         AS parent_columns,
       1 AS indexed
  FROM named AS a
  JOIN information_schema.KEY_COLUMN_USAGE AS k
    ON k.REFERENCED_TABLE_SCHEMA = DATABASE() AND CAST(k.REFERENCED_TABLE_NAME AS BINARY(256)) = a.name
  JOIN ruled AS r
    ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
 GROUP BY k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, r.DELETE_RULE
 ORDER BY k.REFERENCED_TABLE_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME

-- triggers: the triggers that a delete fires
WITH
-- include: named
SELECT t.EVENT_OBJECT_SCHEMA AS `schema`, t.EVENT_OBJECT_TABLE AS `table`, t.TRIGGER_NAME AS name,
       LEFT(t.ACTION_STATEMENT, 200) AS calls
  FROM named AS a
  JOIN information_schema.TRIGGERS AS t
    ON t.EVENT_OBJECT_SCHEMA = DATABASE() AND CAST(t.EVENT_OBJECT_TABLE AS BINARY(256)) = a.name
 WHERE t.EVENT_MANIPULATION = 'DELETE'
 ORDER BY t.EVENT_OBJECT_TABLE, t.TRIGGER_NAME
