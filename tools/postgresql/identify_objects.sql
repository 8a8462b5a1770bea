-- name: identify_objects
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
--   objects: rows(objects)
-- examples: [{params: {tables: [{schema: public, table: orders}]}}]
--
-- What these names stand for right now: the OID (a dropped and recreated table has another), size, rows, definitions of the
-- indexes, and how many other sessions hold a lock on the object. An approval is bound to this.
-- The size is exact, except while another session holds the table locked: then it is what pg_class remembers. Partitions of a
-- partitioned table are summed.

-- objects: one row per named object that exists
WITH RECURSIVE target AS (
  SELECT DISTINCT c.oid, n.nspname AS schema_name, c.relname, c.relkind, CASE WHEN c.relpersistence = 't' THEN 'temporary' WHEN c.relkind = 'r' AND c.relispartition THEN 'partition'
            ELSE CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'm' THEN 'matview'
                 WHEN 'v' THEN 'view' WHEN 'f' THEN 'foreign' END END AS kind
  FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
  JOIN pg_namespace AS n ON n.nspname = w."schema"
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
  WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f')
), tree AS (
  -- A partitioned table stands for its leaf partitions. Read from pg_inherits: pg_partition_tree() would lock them.
  SELECT t.oid AS root, t.oid, t.relkind FROM target AS t
  UNION ALL
  SELECT p.root, k.oid, k.relkind FROM tree AS p
  JOIN pg_inherits AS h ON h.inhparent = p.oid
  JOIN pg_class AS k ON k.oid = h.inhrelid AND k.relispartition
  WHERE p.relkind = 'p'
), held AS MATERIALIZED (
  -- Relations that another session has locked against reading, or is about to: a size function would queue there.
  SELECT DISTINCT l.relation FROM pg_locks AS l
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
), size AS (
  SELECT p.root,
         sum(greatest(c.reltuples::bigint, 0)) AS rows,
         sum(CASE WHEN h.relation IS NULL THEN pg_table_size(c.oid) ELSE c.relpages * current_setting('block_size')::bigint END) AS bytes
  FROM tree AS p
  JOIN pg_class AS c ON c.oid = p.oid AND c.relkind IN ('r', 'm')
  LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (c.oid, c.reltoastrelid) LIMIT 1) AS h ON true
  GROUP BY p.root
), locked AS (
  SELECT l.relation, count(DISTINCT coalesce(l.pid::text, l.virtualtransaction)) AS sessions
  FROM pg_locks AS l
  WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
  GROUP BY l.relation
), definitions AS (
  -- Put together from the catalog: pg_get_indexdef() would wait for a locked table. Invalid indexes come and go with interrupted builds.
  SELECT i.indrelid, json_agg(
           concat_ws(' ', CASE WHEN i.indisprimary THEN 'primary' WHEN i.indisunique THEN 'unique' END, am.amname, quote_ident(x.relname), '(' || k.columns || ')',
                     'classes ' || i.indclass::text, 'collations ' || i.indcollation::text, 'options ' || i.indoption::text,
                     'expressions ' || md5(regexp_replace(i.indexprs::text, ':location -?[0-9]+', '', 'g')), 'predicate ' || md5(regexp_replace(i.indpred::text, ':location -?[0-9]+', '', 'g')), array_to_string(x.reloptions, ', '))
           ORDER BY x.relname COLLATE "C") AS list
  FROM target AS t
  JOIN pg_index AS i ON i.indrelid = t.oid AND i.indisvalid
  JOIN pg_class AS x ON x.oid = i.indexrelid
  JOIN pg_am AS am ON am.oid = x.relam
  CROSS JOIN LATERAL (SELECT string_agg(coalesce(quote_ident(a.attname), '(expression)'), ', ' ORDER BY c.position) AS columns
                      FROM unnest(i.indkey) WITH ORDINALITY AS c(attnum, position)
                      LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = c.attnum AND c.attnum <> 0) AS k
  GROUP BY i.indrelid
)
SELECT t.schema_name AS schema, t.relname AS "table", t.kind AS kind, t.oid::text AS oid,
       s.rows::bigint AS rows, s.bytes::bigint AS bytes,
       coalesce(l.sessions, 0) AS busy_sessions,
       coalesce(d.list, '[]')::text AS indexes
FROM target AS t
LEFT JOIN size AS s ON s.root = t.oid
LEFT JOIN locked AS l ON l.relation = t.oid
LEFT JOIN definitions AS d ON d.indrelid = t.oid
ORDER BY t.schema_name, t.relname
