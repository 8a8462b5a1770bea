-- name: inspect_log_tables
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
--   tables: {type: identifier_list, description: 'tables as {schema, table}'}
-- returns:
--   columns: rows(columns)
--   children: rows(children)
--   triggers: rows(triggers)
--   parents: rows(parents)
-- examples: [{params: {tables: [{schema: public, table: app_log}]}}]
--
-- List what must be known about tables before their rows are deleted: columns, referencing foreign keys and triggers. Says
-- which columns an index begins with, what the foreign keys that reference the tables do on a delete, and which triggers a
-- delete fires. Reads the catalog only.

-- columns: each column in order; `indexed`: a valid btree index that is not partial begins with it; `partition_key`: the table, or
-- its partitions at any level, are partitioned by ranges of it
WITH RECURSIVE tree AS (
  SELECT p.partrelid AS root, p.partrelid AS oid FROM pg_partitioned_table AS p
  UNION ALL
  SELECT t.root, i.inhrelid FROM tree AS t JOIN pg_inherits AS i ON i.inhparent = t.oid
  JOIN pg_partitioned_table AS k ON k.partrelid = i.inhrelid
), divided AS MATERIALIZED (
  SELECT DISTINCT t.root, a.attname
  FROM tree AS t JOIN pg_partitioned_table AS p ON p.partrelid = t.oid AND p.partstrat = 'r'
  JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = p.partattrs[0]
)
SELECT n.nspname AS schema, c.relname AS "table", a.attname AS column, a.attnum AS position,
       format_type(a.atttypid, NULL) AS type, NOT a.attnotnull AS nullable, a.attgenerated <> '' AS generated,
       EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid JOIN pg_am AS m ON m.oid = x.relam
               WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = a.attnum
                 AND m.amname = 'btree') AS indexed,
       (SELECT k.place FROM pg_index AS i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
        WHERE i.indrelid = c.oid AND i.indisprimary AND k.attnum = a.attnum) AS key_position,
       EXISTS (SELECT 1 FROM divided AS d WHERE d.root = c.oid AND d.attname = a.attname) AS partition_key
FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
JOIN pg_namespace AS n ON n.nspname = w."schema"
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY n.nspname, c.relname, a.attnum

-- children: tables whose foreign keys reference these; `on_delete`: cascade | set null | set default | no action
SELECT n.nspname AS schema, c.relname AS "table", kn.nspname AS child_schema, k.relname AS child_table, f.conname AS name,
       CASE f.confdeltype WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default' ELSE 'no action' END
         AS on_delete,
       (SELECT json_agg(a.attname ORDER BY u.place) FROM unnest(f.conkey) WITH ORDINALITY AS u(attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = u.attnum)::text AS child_columns,
       (SELECT json_agg(a.attname ORDER BY u.place) FROM unnest(f.confkey) WITH ORDINALITY AS u(attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = f.confrelid AND a.attnum = u.attnum)::text AS parent_columns,
       EXISTS (SELECT 1 FROM pg_index AS i WHERE i.indrelid = f.conrelid AND i.indisvalid AND i.indkey[0] = f.conkey[1])
         AS indexed
FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
JOIN pg_namespace AS n ON n.nspname = w."schema"
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
JOIN pg_constraint AS f ON f.confrelid = c.oid AND f.contype = 'f' AND f.conparentid = 0
JOIN pg_class AS k ON k.oid = f.conrelid
JOIN pg_namespace AS kn ON kn.oid = k.relnamespace
ORDER BY n.nspname, c.relname, f.conname

-- triggers: the triggers that a delete fires
SELECT n.nspname AS schema, c.relname AS "table", t.tgname AS name,
       format('%s.%s', pn.nspname, p.proname) AS calls
FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
JOIN pg_namespace AS n ON n.nspname = w."schema"
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
JOIN pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 8 = 8
JOIN pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_namespace AS pn ON pn.oid = p.pronamespace
ORDER BY n.nspname, c.relname, t.tgname

-- parents: the tables of which these are partitions, at any level
WITH RECURSIVE above AS (
  SELECT c.oid, c.oid AS parent
  FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
  JOIN pg_namespace AS n ON n.nspname = w."schema"
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table" AND c.relispartition
  UNION ALL
  SELECT a.oid, i.inhparent FROM above AS a JOIN pg_inherits AS i ON i.inhrelid = a.parent
)
SELECT n.nspname AS schema, c.relname AS "table", pn.nspname AS parent_schema, p.relname AS parent_table
FROM above AS a
JOIN pg_class AS c ON c.oid = a.oid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_class AS p ON p.oid = a.parent AND p.oid <> c.oid
JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
ORDER BY n.nspname, c.relname, pn.nspname, p.relname
