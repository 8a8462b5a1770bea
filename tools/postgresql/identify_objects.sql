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
-- Identify the objects under the given names, so that an approval can be bound to them. Returns the OID (a dropped and
-- recreated table has another), size, rows, definitions of the indexes, and how many other sessions hold a lock on the object.
-- The size is exact, unless another session has locked the table: then it is taken from pg_class. For a partitioned table the
-- partitions are added up.

-- objects: one row per named object that exists
WITH target AS MATERIALIZED (
  SELECT DISTINCT c.oid, n.nspname AS schema_name, c.relname, c.relkind,
         CASE WHEN c.relpersistence = 't' THEN 'temporary' WHEN c.relkind = 'r' AND c.relispartition THEN 'partition'
            ELSE CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'm' THEN 'matview'
                 WHEN 'v' THEN 'view' WHEN 'f' THEN 'foreign' END END AS kind
  FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
  JOIN pg_namespace AS n ON n.nspname = w."schema"
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
  WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f')
),
-- include: held,
locked AS MATERIALIZED (
  SELECT l.relation, count(DISTINCT coalesce(l.pid::text, l.virtualtransaction)) AS sessions
  FROM pg_locks AS l
  WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
  GROUP BY l.relation
)
SELECT t.schema_name AS schema, t.relname AS "table", t.kind AS kind, t.oid::text AS oid,
       s.rows::bigint AS rows, s.bytes::bigint AS bytes,
       coalesce((SELECT l.sessions FROM locked AS l WHERE l.relation = t.oid), 0) AS busy_sessions,
       coalesce(d.list, '[]')::text AS indexes
FROM target AS t
CROSS JOIN LATERAL (
  -- A partitioned table is replaced by its leaf partitions. Read from pg_inherits: pg_partition_tree() would lock them.
  WITH RECURSIVE tree AS (
    SELECT t.oid, t.relkind
    UNION ALL
    SELECT k.oid, k.relkind FROM tree AS p
    JOIN pg_inherits AS i ON i.inhparent = p.oid AND p.relkind = 'p'
    JOIN pg_class AS k ON k.oid = i.inhrelid AND k.relispartition
  )
  SELECT sum(greatest(c.reltuples::bigint, 0)) AS rows,
         sum(CASE WHEN EXISTS (SELECT 1 FROM held AS h WHERE h.relation IN (c.oid, c.reltoastrelid))
                  THEN c.relpages * current_setting('block_size')::bigint ELSE pg_table_size(c.oid) END) AS bytes
  FROM tree AS p JOIN pg_class AS c ON c.oid = p.oid
  WHERE p.relkind IN ('r', 'm')
) AS s
CROSS JOIN LATERAL (
  -- Read from the catalog: pg_get_indexdef() would wait for a locked table. Invalid indexes come and go with interrupted builds.
  SELECT json_agg(
           concat_ws(' ', CASE WHEN i.indisprimary THEN 'primary' WHEN i.indisunique THEN 'unique' END, am.amname,
             quote_ident(x.relname), '(' || k.columns || ')',
                     'classes ' || i.indclass::text, 'collations ' || i.indcollation::text, 'options ' || i.indoption::text,
                     'expressions ' || md5(regexp_replace(i.indexprs::text, ':location -?[0-9]+', '', 'g')),
                     'predicate ' || md5(regexp_replace(i.indpred::text, ':location -?[0-9]+', '', 'g')),
                     array_to_string(x.reloptions, ', '))
           ORDER BY x.relname COLLATE "C") AS list
  FROM pg_index AS i
  JOIN pg_class AS x ON x.oid = i.indexrelid
  JOIN pg_am AS am ON am.oid = x.relam
  CROSS JOIN LATERAL (SELECT string_agg(coalesce(quote_ident(a.attname), '(expression)'), ', ' ORDER BY c.position) AS columns
                      FROM unnest(i.indkey) WITH ORDINALITY AS c(attnum, position)
                      LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = c.attnum AND c.attnum <> 0) AS k
  WHERE i.indrelid = t.oid AND i.indisvalid
) AS d
ORDER BY t.schema_name, t.relname
