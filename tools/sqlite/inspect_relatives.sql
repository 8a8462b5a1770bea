-- name: inspect_relatives
-- engine: sqlite >= 3.37
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
-- examples: [{params: {schema: main, table: orders}}]
--
-- List what must be known about a table before its rows are archived and deleted with related rows: columns, primary key,
-- referencing foreign keys and triggers. Says which columns may be NULL and their defaults, which columns each foreign key sets
-- and what it does on a delete, and which triggers a delete or an update fires, with their text. Reads the schema only.

-- columns: each column; `key_position`: its position in the primary key
SELECT x.name AS column, NOT x."notnull" AND NOT (x.pk = 1 AND upper(x.type) = 'INTEGER') AS nullable, x.hidden IN (2, 3) AS generated,
       0 AS by_itself, x.dflt_value AS "default", nullif(x.pk, 0) AS key_position, 0 AS hidden
FROM pragma_table_xinfo(:table, :schema) AS x
ORDER BY x.cid

-- children: foreign keys that reference this table; `on_delete`: cascade | set null | set default | no action; `set_columns`: the
-- columns it sets
-- (the name of a foreign key cannot be queried; one that names no columns references the primary key)
WITH pointing AS (
    SELECT o.name AS child, f.id, f.seq, lower(f.on_delete) AS on_delete, f."from" AS child_column,
           coalesce(f."to", (SELECT x.name FROM pragma_table_info(:table, :schema) AS x WHERE x.pk = f.seq + 1)) AS parent_column
      FROM main.sqlite_schema AS o
     CROSS JOIN pragma_foreign_key_list(o.name, 'main') AS f
     WHERE o.type = 'table' AND o.rootpage <> 0 AND lower(f."table") = lower(:table)
     ORDER BY o.name, f.id, f.seq
)
SELECT 'main' AS child_schema, p.child AS child_table, printf('foreign key %d', p.id) AS name,
       CASE WHEN p.on_delete IN ('cascade', 'set null', 'set default') THEN p.on_delete ELSE 'no action' END AS on_delete,
       json_group_array(p.child_column) AS child_columns, json_group_array(p.parent_column) AS parent_columns,
       json_group_array(p.child_column) AS set_columns,
       EXISTS (SELECT 1 FROM pragma_table_info(p.child, 'main') AS x
                WHERE x.name = p.child_column AND x.pk = 1
                  AND NOT EXISTS (SELECT 1 FROM pragma_index_list(p.child, 'main') AS l WHERE l.origin = 'pk'))
       OR EXISTS (SELECT 1 FROM pragma_index_list(p.child, 'main') AS l, pragma_index_xinfo(l.name, 'main') AS i
                   WHERE i.seqno = 0 AND i.name = p.child_column AND NOT l.partial) AS indexed
  FROM pointing AS p
 GROUP BY p.child, p.id
 ORDER BY p.child, p.id

-- effects: triggers of this table; only their text names the event, so all that are not clearly for INSERT are listed
SELECT t.name AS name, 'trigger' AS kind, t.rest NOT LIKE 'update%' AS on_delete, t.rest NOT LIKE 'delete%' AS on_update, t.sql AS body
FROM (SELECT s.name, s.sql,
             ltrim(CASE WHEN s.rest LIKE 'before %' THEN substr(s.rest, 7) WHEN s.rest LIKE 'after %' THEN substr(s.rest, 6)
                        ELSE s.rest END) AS rest
      FROM (SELECT o.name, o.sql,
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
            WHERE o.type = 'trigger' AND lower(o.tbl_name) = lower(:table)) AS s) AS t
WHERE t.rest NOT LIKE 'insert%'
ORDER BY t.name
