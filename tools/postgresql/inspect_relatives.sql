-- name: inspect_relatives
-- engine: postgresql >= 12
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
-- examples: [{params: {schema: public, table: orders}}]
--
-- List what must be known about a table before its rows are archived and deleted with related rows: columns, primary key,
-- referencing foreign keys and triggers. Says which columns may be NULL and their defaults, which columns each foreign key sets
-- and what it does on a delete, and which triggers and rules a delete or an update fires, with their text. Reads the catalog
-- only.

-- columns: each column; `key_position`: its position in the primary key; `hidden`: row security hides rows of the table
SELECT a.attname AS column, NOT a.attnotnull AS nullable, a.attgenerated <> '' AS generated, false AS by_itself,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS "default",
       (SELECT k.place FROM pg_index AS i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
        WHERE i.indrelid = c.oid AND i.indisprimary AND k.attnum = a.attnum) AS key_position,
       row_security_active(c.oid) AS hidden
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE n.nspname = :schema AND c.relname = :table
ORDER BY a.attnum

-- children: foreign keys that reference this table; `on_delete`: cascade | set null | set default | no action; `set_columns`: the
-- columns it sets (before version 15 it sets all its columns, and the catalog has no list of them)
SELECT kn.nspname AS child_schema, k.relname AS child_table, f.conname AS name,
       CASE f.confdeltype WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default' ELSE 'no action' END
         AS on_delete,
       (SELECT json_agg(a.attname ORDER BY u.place) FROM unnest(f.conkey) WITH ORDINALITY AS u(attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = u.attnum)::text AS child_columns,
       (SELECT json_agg(a.attname ORDER BY u.place) FROM unnest(f.confkey) WITH ORDINALITY AS u(attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = f.confrelid AND a.attnum = u.attnum)::text AS parent_columns,
       (SELECT json_agg(a.attname ORDER BY u.place)
        FROM jsonb_array_elements_text(coalesce(nullif(to_jsonb(f) -> 'confdelsetcols', 'null'), to_jsonb(f) -> 'conkey'))
          WITH ORDINALITY AS u(attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = u.attnum::int)::text AS set_columns,
       EXISTS (SELECT 1 FROM pg_index AS i WHERE i.indrelid = f.conrelid AND i.indisvalid AND i.indkey[0] = f.conkey[1])
         AS indexed
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_constraint AS f ON f.confrelid = c.oid AND f.contype = 'f' AND f.conparentid = 0
JOIN pg_class AS k ON k.oid = f.conrelid
JOIN pg_namespace AS kn ON kn.oid = k.relnamespace
WHERE n.nspname = :schema AND c.relname = :table
ORDER BY kn.nspname, k.relname, f.conname

-- effects: triggers and rules of this table that a delete or an update of a row fires
SELECT t.tgname AS name, 'trigger' AS kind, t.tgtype & 8 = 8 AS on_delete, t.tgtype & 16 = 16 AS on_update, p.prosrc AS body
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 24 > 0
JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE n.nspname = :schema AND c.relname = :table
UNION ALL
SELECT r.rulename, 'rule', r.ev_type = '4', r.ev_type = '2', pg_get_ruledef(r.oid)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_rewrite AS r ON r.ev_class = c.oid AND r.ev_enabled <> 'D' AND r.ev_type IN ('2', '4')
WHERE n.nspname = :schema AND c.relname = :table
ORDER BY 2, 1
