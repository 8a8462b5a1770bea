-- name: inspect_relatives
-- engine: mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
-- returns:
--   columns: rows(columns)
--   children: rows(children)
--   effects: rows(effects)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- List what must be known about a table before its rows are archived and deleted with related rows: columns, primary key,
-- referencing foreign keys and triggers. Says which columns may be NULL and their defaults, which columns each foreign key sets
-- and what it does on a delete, and which triggers a delete or an update fires, with their text. Reads the catalog only. The
-- server shows only what the account has privileges for: any on the referencing tables, and TRIGGER on the tables; a foreign
-- key that it does not show acts all the same. Rows deleted or changed by a foreign key fire no triggers.

-- columns: each column; `key_position`: its position in the primary key; `by_itself`: an update of the row sets it to the current time
SELECT c.COLUMN_NAME AS `column`, c.IS_NULLABLE = 'YES' AS nullable, COALESCE(c.GENERATION_EXPRESSION, '') <> '' AS `generated`,
       c.EXTRA LIKE '%on update%' AS by_itself, c.COLUMN_DEFAULT AS `default`, FALSE AS hidden,
       (SELECT s.SEQ_IN_INDEX FROM information_schema.STATISTICS AS s
         WHERE s.TABLE_SCHEMA = :schema AND s.TABLE_NAME = :table AND s.INDEX_NAME = 'PRIMARY' AND s.COLUMN_NAME = c.COLUMN_NAME)
         AS key_position
  FROM information_schema.COLUMNS AS c
 WHERE c.TABLE_SCHEMA = :schema AND c.TABLE_NAME = :table
 ORDER BY c.ORDINAL_POSITION

-- children: foreign keys that reference this table; `on_delete`: cascade | set null | no action; `set_columns`: the columns it sets
-- (RESTRICT, NO ACTION and SET DEFAULT are the same to InnoDB, and it requires an index for every foreign key)
WITH ruled AS (
    -- DISTINCT materializes it, and the server builds a key for the join.
    SELECT DISTINCT r.CONSTRAINT_SCHEMA, r.TABLE_NAME, r.CONSTRAINT_NAME, r.DELETE_RULE
      FROM information_schema.REFERENTIAL_CONSTRAINTS AS r
      JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one
)
SELECT k.TABLE_SCHEMA AS child_schema, k.TABLE_NAME AS child_table, k.CONSTRAINT_NAME AS name,
       CASE r.DELETE_RULE WHEN 'CASCADE' THEN 'cascade' WHEN 'SET NULL' THEN 'set null' ELSE 'no action' END AS on_delete,
       CONCAT('[', GROUP_CONCAT(JSON_QUOTE(k.COLUMN_NAME) ORDER BY k.ORDINAL_POSITION SEPARATOR ', '), ']') AS child_columns,
       CONCAT('[', GROUP_CONCAT(JSON_QUOTE(k.REFERENCED_COLUMN_NAME) ORDER BY k.ORDINAL_POSITION SEPARATOR ', '), ']')
         AS parent_columns,
       CONCAT('[', GROUP_CONCAT(JSON_QUOTE(k.COLUMN_NAME) ORDER BY k.ORDINAL_POSITION SEPARATOR ', '), ']') AS set_columns,
       1 AS indexed
  FROM information_schema.KEY_COLUMN_USAGE AS k
  JOIN ruled AS r
    ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
 WHERE k.REFERENCED_TABLE_SCHEMA = :schema AND CAST(k.REFERENCED_TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
 GROUP BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, r.DELETE_RULE
 ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME

-- effects: triggers of this table that a delete or an update of a row fires
SELECT t.TRIGGER_NAME AS name, 'trigger' AS kind, t.EVENT_MANIPULATION = 'DELETE' AS on_delete,
       t.EVENT_MANIPULATION = 'UPDATE' AS on_update, t.ACTION_STATEMENT AS body
  FROM information_schema.TRIGGERS AS t
 WHERE t.EVENT_OBJECT_SCHEMA = :schema AND CAST(t.EVENT_OBJECT_TABLE AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND t.EVENT_MANIPULATION IN ('DELETE', 'UPDATE')
 ORDER BY t.TRIGGER_NAME
