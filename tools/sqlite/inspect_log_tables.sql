-- name: inspect_log_tables
-- engine: sqlite >= 3.35
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list, description: 'tables as {schema, table}'}
-- returns:
--   columns: rows(columns)
--   children: rows(children)
--   triggers: rows(triggers)
-- examples: [{params: {tables: [{schema: main, table: app_log}]}}]
--
-- List what must be known about tables before their rows are deleted: columns, referencing foreign keys and triggers. Says
-- which columns an index begins with, what the foreign keys that reference the tables do on a delete, and which triggers a
-- delete fires. Reads the schema only. Foreign keys act only on connections that enable them (PRAGMA foreign_keys); those
-- aishell writes with do, so they act as listed here, whatever the application's own connections do.

-- columns: each column in order; `indexed`: an index that is not partial begins with it, or it is the rowid; `key_position`: its
-- position in the primary key; `row_id`: a usable name of the table's rowid, NULL for a table WITHOUT ROWID
WITH
-- include: named,
keyed AS (
    -- The key of a table WITHOUT ROWID is an index without an entry in the schema; an INTEGER PRIMARY KEY is the rowid
    -- and has no index.
    SELECT n.name,
           EXISTS (SELECT 1 FROM pragma_index_list(n.name, 'main') AS l
                    WHERE l.origin = 'pk' AND l.name NOT IN (SELECT name FROM main.sqlite_schema WHERE type = 'index')) AS bare,
           (SELECT x.name FROM pragma_table_info(n.name, 'main') AS x
             WHERE x.pk = 1
               AND NOT EXISTS (SELECT 1 FROM pragma_index_list(n.name, 'main') AS l WHERE l.origin = 'pk')) AS row_id,
           (SELECT a.column1 FROM (VALUES ('rowid'), ('_rowid_'), ('oid')) AS a
             WHERE a.column1 NOT IN (SELECT lower(x.name) FROM pragma_table_xinfo(n.name, 'main') AS x) LIMIT 1) AS alias
      FROM named AS n
)
SELECT 'main' AS "schema", k.name AS "table", c.name AS column, c.cid + 1 AS position, c.type AS type,
       NOT c."notnull" AND c.name IS NOT k.row_id AS nullable,
       c.hidden IN (2, 3) AS generated,
       c.name IS k.row_id
       OR EXISTS (SELECT 1 FROM pragma_index_list(k.name, 'main') AS l, pragma_index_xinfo(l.name, 'main') AS i
                   WHERE i.seqno = 0 AND i.cid = c.cid AND NOT l.partial) AS indexed,
       nullif(c.pk, 0) AS key_position,
       CASE WHEN NOT k.bare THEN coalesce(k.row_id, k.alias) END AS row_id
  FROM keyed AS k, pragma_table_xinfo(k.name, 'main') AS c
 ORDER BY k.name, c.cid

-- children: tables whose foreign keys reference these; `on_delete`: cascade | set null | set default | no action
-- (the name of a foreign key cannot be queried; one that names no columns references the primary key)
WITH
-- include: named,
pointing AS (
    SELECT n.name, o.name AS child, f.id, f.seq, lower(f.on_delete) AS on_delete, f."from" AS child_column,
           coalesce(f."to", (SELECT x.name FROM pragma_table_info(n.name, 'main') AS x WHERE x.pk = f.seq + 1)) AS parent_column
      FROM main.sqlite_schema AS o
     CROSS JOIN pragma_foreign_key_list(o.name, 'main') AS f  -- in this order, so that the foreign keys of each table are read once
     CROSS JOIN named AS n ON n.folded = lower(f."table")
     WHERE o.type = 'table' AND o.rootpage <> 0
     ORDER BY n.name, o.name, f.id, f.seq
)
SELECT 'main' AS "schema", p.name AS "table", 'main' AS child_schema, p.child AS child_table,
       printf('foreign key %d', p.id) AS name,
       CASE WHEN p.on_delete IN ('cascade', 'set null', 'set default') THEN p.on_delete ELSE 'no action' END AS on_delete,
       json_group_array(p.child_column) AS child_columns,
       json_group_array(p.parent_column) AS parent_columns,
       EXISTS (SELECT 1 FROM pragma_table_info(p.child, 'main') AS x
                WHERE x.name = p.child_column AND x.pk = 1
                  AND NOT EXISTS (SELECT 1 FROM pragma_index_list(p.child, 'main') AS l WHERE l.origin = 'pk'))
       OR EXISTS (SELECT 1 FROM pragma_index_list(p.child, 'main') AS l, pragma_index_xinfo(l.name, 'main') AS i
                   WHERE i.seqno = 0 AND i.name = p.child_column AND NOT l.partial) AS indexed
  FROM pointing AS p
 GROUP BY p.name, p.child, p.id
 ORDER BY p.name, p.child, p.id

-- triggers: the triggers that a delete fires
-- Only the definition of a trigger names its event, after the trigger's name, which may be quoted. A trigger is left out if its
-- definition names another event there; one with a comment in that place is listed.
WITH
-- include: named,
said AS (
    SELECT n.name, o.name AS trigger_name, o.sql,
           ltrim(replace(replace(replace(
               substr(o.sql, length('CREATE TRIGGER ') + 1
                             + CASE substr(o.sql, length('CREATE TRIGGER ') + 1, 1)
                                    WHEN '"' THEN 2 + length(replace(o.name, '"', '""'))
                                    WHEN '`' THEN 2 + length(replace(o.name, '`', '``'))
                                    WHEN '''' THEN 2 + length(replace(o.name, '''', ''''''))
                                    WHEN '[' THEN 2 + length(o.name)
                                    ELSE length(o.name) END),
               char(9), ' '), char(10), ' '), char(13), ' ')) AS rest
      FROM main.sqlite_schema AS o
     CROSS JOIN named AS n ON n.folded = lower(o.tbl_name)
     WHERE o.type = 'trigger'
)
SELECT 'main' AS "schema", t.name AS "table", t.trigger_name AS name, substr(t.sql, 1, 200) AS calls
  FROM said AS t
 WHERE ltrim(CASE WHEN t.rest LIKE 'before %' THEN substr(t.rest, 7) WHEN t.rest LIKE 'after %' THEN substr(t.rest, 6)
                  ELSE t.rest END) NOT LIKE 'insert%'
   AND ltrim(CASE WHEN t.rest LIKE 'before %' THEN substr(t.rest, 7) WHEN t.rest LIKE 'after %' THEN substr(t.rest, 6)
                  ELSE t.rest END) NOT LIKE 'update%'
 ORDER BY t.name, t.trigger_name
