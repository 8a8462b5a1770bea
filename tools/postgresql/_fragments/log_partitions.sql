-- CTEs up to `part`: the direct partitions of a table, their bounds on the date column, and `stays`: why one must not be dropped as
-- a whole, NULL if all rows that it can contain are before the cut-off. Reads `held`.

parent AS MATERIALIZED (
  SELECT c.oid, p.partdefid, a.atttypid, p.partstrat = 'r' AND p.partnatts = 1 AND p.partattrs[0] = a.attnum AS by_date
  FROM pg_namespace AS n
  JOIN pg_class AS c ON c.relnamespace = n.oid
  JOIN pg_partitioned_table AS p ON p.partrelid = c.oid
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = CAST(:date_column AS text) AND NOT a.attisdropped
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text)
), direct AS MATERIALIZED (
  SELECT p.*, k.oid AS partition_oid, n.nspname AS partition_schema, k.relname AS partition, k.relkind, b.bound,
         -- the column is new in version 14
         coalesce(to_jsonb(i) ->> 'inhdetachpending', 'false') = 'true' AS pending,
         regexp_match(b.bound, '^FOR VALUES FROM \((MINVALUE|''(?:[^'']|'''')*''|-?[0-9.]+)\) '
                               'TO \((MAXVALUE|''(?:[^'']|'''')*''|-?[0-9.]+)\)$') AS ends,
         -- -1 (before version 14: 0, with 0 pages) until the first VACUUM or ANALYZE. The counters may have been reset since.
         CASE WHEN k.reltuples > 0 OR k.reltuples = 0 AND k.relpages > 0 THEN CAST(k.reltuples AS bigint) END AS rows,
         CASE WHEN EXISTS (SELECT 1 FROM held AS h LEFT JOIN pg_index AS x ON x.indexrelid = h.relation
                           WHERE k.oid IN (h.relation, x.indrelid) OR h.relation = k.reltoastrelid)
              THEN k.relpages * CAST(current_setting('block_size') AS bigint) ELSE pg_total_relation_size(k.oid) END AS bytes
  FROM parent AS p
  JOIN pg_inherits AS i ON i.inhparent = p.oid
  JOIN pg_class AS k ON k.oid = i.inhrelid
  JOIN pg_namespace AS n ON n.oid = k.relnamespace
  -- 0: with the partition's OID the function would wait for a locked partition
  CROSS JOIN LATERAL (SELECT pg_get_expr(k.relpartbound, 0) AS bound) AS b
), moment AS (
  -- Each bound, and the cut-off, as the column's own type orders it. UTC: a zone with daylight saving time would disorder hours.
  SELECT d.partition_oid, e.name,
         CASE d.atttypid WHEN CAST('timestamptz' AS regtype) THEN CAST(e.text AS timestamptz)
                         WHEN CAST('timestamp' AS regtype) THEN CAST(e.text AS timestamp) AT TIME ZONE 'UTC'
                         WHEN CAST('date' AS regtype) THEN CAST(CAST(e.text AS date) AS timestamp) AT TIME ZONE 'UTC' END AS at,
         CASE WHEN d.atttypid IN (CAST('int2' AS regtype), CAST('int4' AS regtype), CAST('int8' AS regtype),
                                  CAST('numeric' AS regtype)) THEN CAST(e.text AS numeric) END AS number
  FROM direct AS d
  CROSS JOIN LATERAL (VALUES ('begin', replace(trim(BOTH '''' FROM nullif(d.ends[1], 'MINVALUE')), '''''', '''')),
                             ('end', replace(trim(BOTH '''' FROM nullif(d.ends[2], 'MAXVALUE')), '''''', '''')),
                             ('cutoff', CAST(:cutoff AS text))) AS e(name, text)
  WHERE d.by_date
), ranged AS MATERIALIZED (
  SELECT d.*, e.at, e.number, d.ends[2] IS DISTINCT FROM 'MAXVALUE' AND e.at IS NULL AND e.number IS NULL AS unknown,
         (e.at <= c.at OR e.number <= c.number) IS TRUE AS old, (b.at >= c.at OR b.number >= c.number) IS TRUE AS young,
         -- A partition without a comparable upper bound counts as the newest; one with a pending detach does not count.
         NOT d.pending AND row_number() OVER (PARTITION BY d.pending, d.partition_oid = d.partdefid
                                              ORDER BY e.at DESC NULLS FIRST, e.number DESC NULLS FIRST, d.partition) = 1
           AS newest
  FROM direct AS d
  LEFT JOIN moment AS b ON b.partition_oid = d.partition_oid AND b.name = 'begin'
  LEFT JOIN moment AS e ON e.partition_oid = d.partition_oid AND e.name = 'end'
  LEFT JOIN moment AS c ON c.partition_oid = d.partition_oid AND c.name = 'cutoff'
), part AS (
  SELECT r.*, CASE
           WHEN NOT r.by_date THEN 'the table is not partitioned by ranges of this column alone'
           WHEN r.partition_oid = r.partdefid THEN 'it is the DEFAULT partition'
           WHEN r.unknown THEN 'its bounds cannot be compared with the cut-off: ' || r.bound
           WHEN NOT r.old THEN 'it can contain rows that are not before the cut-off'
           WHEN r.newest THEN 'it is the newest partition'
           WHEN r.relkind = 'p' THEN 'it has partitions of its own'
           WHEN r.relkind <> 'r' THEN 'it is a foreign table'
           ELSE coalesce(
             (SELECT format('the foreign key %s of %s references it', f.conname, CAST(CAST(f.conrelid AS regclass) AS text))
              FROM pg_constraint AS f WHERE f.contype = 'f' AND f.confrelid IN (r.oid, r.partition_oid) ORDER BY f.conname LIMIT 1),
             (SELECT format('the trigger %s would not fire for its rows', t.tgname)
              FROM pg_trigger AS t WHERE t.tgrelid IN (r.oid, r.partition_oid) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
                AND t.tgtype & 8 = 8 ORDER BY t.tgname LIMIT 1),
             -- What belongs to the table (its indexes, its policies) depends on it automatically too.
             (SELECT pg_describe_object(o.classid, o.objid, 0) || ' depends on it'
              FROM pg_depend AS o
              WHERE o.refclassid = CAST('pg_class' AS regclass) AND o.refobjid = r.partition_oid AND o.deptype = 'n'
                AND NOT EXISTS (SELECT 1 FROM pg_depend AS w WHERE w.classid = o.classid AND w.objid = o.objid
                                AND w.refclassid = o.refclassid AND w.refobjid = o.refobjid AND w.deptype <> 'n')
              ORDER BY o.objid LIMIT 1)) END AS stays
  FROM ranged AS r
)
