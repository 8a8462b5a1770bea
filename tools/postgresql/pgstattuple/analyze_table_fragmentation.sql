-- name: analyze_table_fragmentation
-- engine: postgresql >= 12 with pgstattuple
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: ACCESS SHARE
-- max_execution_time: 600
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
-- returns:
--   fragmentation_percent: {from: first(fragmentation.fragmentation_percent), type: [number, 'null']}
--   method: first(fragmentation.method)
--   recommendation: first(fragmentation.recommendation)
--   estimated_benefit: {from: first(fragmentation.estimated_benefit), type: [integer, 'null'], description: bytes a rewrite would give back}
--   error_points: first(fragmentation.error_points)
--   table_stats: object(statistics)
--   withheld: first(fragmentation.withheld)
-- examples: [{params: {schema: public, table: orders}}]
--
-- Measures how much of one table (or partition, or materialized view) is unused space, and says what to do about it. Reads
-- only; the application is not affected beyond the I/O. Bloat is 100 * (1 - (100 - free_percent - dead_tuple_percent) /
-- fillfactor), TOAST included at fillfactor 100: what a rewrite would give back to the file system. Up to 10 GiB a table is
-- read completely (pgstattuple); beyond that only its pages that are not all-visible (pgstattuple_approx), when those are
-- within 10 GiB; beyond that it is estimated from statistics.
-- Needs EXECUTE on pgstattuple's functions (pg_stat_scan_tables, a part of pg_monitor), and SELECT for the fallback estimate.

-- fragmentation: the figure, how it was got, or why there is none
WITH held AS MATERIALIZED (
  -- Relations that another session has locked against reading, or is about to: a size function would queue there.
  SELECT DISTINCT l.relation FROM pg_locks AS l
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
), target AS MATERIALIZED (
  SELECT c.oid, n.nspname AS schema_name, c.relname, c.relkind, c.reltuples,
         CASE WHEN h.relation IS NULL THEN pg_relation_size(c.oid) / current_setting('block_size')::int
           ELSE c.relpages END AS pages,
         coalesce(substring(array_to_string(c.reloptions, ',') FROM 'fillfactor=([0-9]+)')::int, 100) AS fillfactor,
         am.amname, h.relation IS NOT NULL AS held,
         -- unlogged tables are empty on a standby
         c.relkind IN ('r', 'm') AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery()) AS stored,
         pg_stat_get_mod_since_analyze(c.oid) AS modified,
         greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed,
         greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed,
         CASE WHEN h.relation IS NULL THEN nullif(c.reltoastrelid, 0) END AS toast, c.relallvisible
  FROM pg_namespace AS n
  JOIN pg_class AS c ON c.relnamespace = n.oid
  LEFT JOIN pg_am AS am ON am.oid = c.relam
  LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (c.oid, c.reltoastrelid) LIMIT 1) AS h ON true
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text) AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
),
estimate AS (
  SELECT t.*,
         CASE WHEN NOT t.stored THEN 'it holds no rows of its own'
              WHEN t.held THEN 'locked by another session'
              WHEN t.amname <> 'heap' THEN 'not stored as a heap'
              WHEN t.reltuples < 0 OR t.analyzed IS NULL THEN 'never analyzed since the server''s counters began'
              WHEN t.modified > 50 + 0.1 * t.reltuples
                THEN 'stale statistics: ' || t.modified || ' rows changed since the last ANALYZE'
              WHEN t.reltuples > 0 AND NOT has_table_privilege(t.oid, 'SELECT')
                THEN 'no SELECT privilege: the server hides the statistics'
              WHEN t.reltuples > 0 AND row_security_active(t.oid) THEN 'row-level security hides the statistics'
              WHEN t.reltuples > 0 AND w.unknown > 0 THEN w.unknown || ' of ' || w.columns || ' columns have no statistics'
         END AS withheld,
         CASE WHEN t.pages = 0 THEN 0 WHEN t.reltuples = 0 THEN 100
              ELSE greatest(0, 100 * (1 - ceil(t.reltuples / full_page.rows) / t.pages)) END AS percent
  FROM target AS t
  CROSS JOIN LATERAL (
    -- Width of a row: 23 bytes of header (and a bitmap when there are NULLs) rounded up to 8, columns, a line pointer of 4.
    SELECT sum(g.columns) AS columns, sum(g.unknown) AS unknown, bool_and(g.fixed) AS fixed,
           ceil((23 + CASE WHEN bool_or(g.nulls) THEN ceil(sum(g.columns) / 8.0) ELSE 0 END) / 8) * 8 + sum(g.width) + 4 AS width
    FROM (
      -- PostgreSQL pads up to every 8-byte aligned column: columns are put together into stretches that begin with one.
      SELECT count(*) AS columns, count(*) FILTER (WHERE c.unknown) AS unknown, bool_and(c.fixed) AS fixed,
             bool_or(c.null_frac > 0) AS nulls,
             CASE WHEN bool_and(c.fixed) THEN ceil(sum(c.width) / 8) * 8 ELSE sum(c.width) + 3.5 END AS width
      FROM (
        -- Average stored width of each column, from ANALYZE.
        SELECT s.attname IS NULL AS unknown, a.attlen > 0 AND s.null_frac = 0 AS fixed, s.null_frac,
               (1 - s.null_frac) * s.avg_width AS width,
               count(*) FILTER (WHERE a.attalign = 'd' AND a.attlen > 0) OVER (ORDER BY a.attnum) AS stretch
        FROM pg_attribute AS a
        LEFT JOIN LATERAL (
          SELECT v.attname, v.null_frac, v.avg_width FROM pg_stats AS v
          WHERE v.schemaname = t.schema_name AND v.tablename = t.relname AND v.attname = a.attname AND NOT v.inherited
          OFFSET 0  -- look up by index: joined otherwise, the planner reads all of pg_stats for each table
        ) AS s ON true
        WHERE a.attrelid = t.oid AND t.stored AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'
      ) AS c GROUP BY c.stretch
    ) AS g
  ) AS w
  -- Rows a full page holds: 24 bytes of page header; rows of different width leave half a row unused on average.
  CROSS JOIN LATERAL (SELECT (current_setting('block_size')::int - 24) * t.fillfactor / 100.0 AS bytes) AS room
  CROSS JOIN LATERAL (SELECT greatest(1,
    CASE WHEN w.fixed THEN floor(room.bytes / w.width) ELSE room.bytes / w.width - 0.5 END) AS rows) AS full_page
), plan AS MATERIALIZED (
  -- What to read: all of it when it is small enough, only the pages that are not all-visible when those are few enough.
  SELECT e.*, e.pages * current_setting('block_size')::bigint AS heap_bytes, size.toast AS toast_bytes,
         CASE WHEN NOT e.stored OR e.held OR e.amname <> 'heap' THEN 'nothing'
              WHEN e.pages * current_setting('block_size')::bigint + size.toast <= 10737418240 THEN 'exact'
              WHEN (e.pages - e.relallvisible) * current_setting('block_size')::bigint <= 10737418240 THEN 'approximate'
              ELSE 'estimate' END AS way
  FROM estimate AS e
  CROSS JOIN LATERAL (SELECT coalesce(pg_relation_size(e.toast), 0) AS toast) AS size
), result AS (
  -- The functions are strict: given NULL they do not run and return NULLs.
  SELECT p.oid, p.schema_name, p.relname, p.relkind, part.bytes,
         CASE WHEN p.way IN ('exact', 'approximate')
           THEN (part.free_pages + coalesce(part.free_toast_pages, 0)) * current_setting('block_size')::bigint
              WHEN p.way = 'estimate' AND p.withheld IS NULL THEN p.heap_bytes * p.percent / 100 END AS reclaimable_bytes,
         CASE WHEN p.way = 'exact' THEN 'pgstattuple (table and TOAST)' WHEN p.way = 'approximate' THEN 'pgstattuple_approx'
              WHEN p.way = 'estimate' AND p.withheld IS NULL THEN 'estimate from statistics' END AS method,
         -- A page cannot be filled beyond its last whole row: half a row each is room that no rewrite gives back.
         CASE WHEN p.way = 'exact' THEN 0 WHEN p.way = 'approximate' THEN 1 WHEN p.way = 'estimate' AND p.withheld IS NULL
           THEN 5 END
           + 50 * part.row_bytes / greatest(part.bytes, 1) / current_setting('block_size')::bigint AS error_points,
         CASE p.way WHEN 'nothing' THEN p.withheld WHEN 'estimate' THEN 'too large to measure; ' || p.withheld END AS withheld
  FROM plan AS p
  CROSS JOIN LATERAL pgstattuple(CAST(CASE WHEN p.way = 'exact' THEN p.oid END AS regclass)) AS heap
  CROSS JOIN LATERAL pgstattuple(CAST(CASE WHEN p.way = 'exact' THEN p.toast END AS regclass)) AS toast
  CROSS JOIN LATERAL pgstattuple_approx(CAST(CASE WHEN p.way = 'approximate' THEN p.oid END AS regclass)) AS near
  CROSS JOIN LATERAL (
    SELECT p.heap_bytes + CASE WHEN p.way = 'exact' THEN p.toast_bytes ELSE 0 END AS bytes,
           -- a file shrinks by whole pages
           floor(p.pages * greatest(0, 1 - (100 - coalesce(heap.free_percent + heap.dead_tuple_percent,
                                                           near.approx_free_percent + near.dead_tuple_percent)) / p.fillfactor)) AS free_pages,
           floor(p.toast_bytes / current_setting('block_size')::bigint * (toast.free_percent + toast.dead_tuple_percent) / 100) AS free_toast_pages,
           p.heap_bytes * coalesce(heap.tuple_len / nullif(heap.tuple_count, 0)::numeric,
                                   near.approx_tuple_len / nullif(near.approx_tuple_count, 0)::numeric, 0)
             + p.toast_bytes * coalesce(toast.tuple_len / nullif(toast.tuple_count, 0)::numeric, 0) AS row_bytes
  ) AS part
), figure AS (
  SELECT r.*, CASE WHEN r.withheld IS NULL
           THEN round((100 * r.reclaimable_bytes / greatest(r.bytes, 1))::numeric, 1) END AS fragmentation_percent
  FROM result AS r
)
SELECT r.fragmentation_percent AS fragmentation_percent,
       r.method AS method,
       CASE WHEN r.relkind = 'p' THEN 'look at its partitions: they hold the rows'
            WHEN r.relkind NOT IN ('r', 'm') THEN 'none: it holds no rows of its own'
            WHEN r.withheld LIKE 'stale%' OR r.withheld LIKE 'never%' THEN 'update_table_statistics, then look again'
            WHEN r.withheld IS NOT NULL THEN 'none: there is no figure to act on'
            WHEN r.fragmentation_percent > 40 AND r.bytes >= 1073741824
              THEN 'rebuild_table gives the space back but locks the table; optimize_table makes it reusable without a lock'
            WHEN r.fragmentation_percent > 20 THEN 'optimize_table: makes the space reusable; the file shrinks only at its end'
            ELSE 'none: it is compact enough' END AS recommendation,
       r.reclaimable_bytes::bigint AS estimated_benefit,
       round(r.error_points::numeric, 1) AS error_points,
       r.withheld AS withheld
FROM figure AS r

-- statistics: size, rows and the age of the statistics
WITH held AS MATERIALIZED (
  -- Relations that another session has locked against reading, or is about to: a size function would queue there.
  SELECT DISTINCT l.relation FROM pg_locks AS l
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
)
SELECT CASE WHEN c.relpersistence = 't' THEN 'temporary' WHEN c.relkind = 'r' AND c.relispartition THEN 'partition'
            ELSE CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'm' THEN 'matview'
                 WHEN 'v' THEN 'view' WHEN 'f' THEN 'foreign' END END AS kind, c.oid::text AS oid, am.amname AS storage,
       CASE WHEN c.relkind IN ('r', 'p', 'm') AND c.reltuples >= 0 THEN c.reltuples::bigint END AS rows,
       CASE WHEN c.relkind IN ('r', 'm') AND h.relation IS NULL THEN pg_table_size(c.oid) END AS bytes,
       CASE WHEN c.relkind IN ('r', 'm') AND h.relation IS NULL AND c.reltoastrelid <> 0
         THEN pg_relation_size(c.reltoastrelid) END AS toast_bytes,
       CASE WHEN c.relkind IN ('r', 'm')
         AND NOT EXISTS (SELECT 1 FROM held AS l JOIN pg_index AS i ON i.indexrelid = l.relation WHERE i.indrelid = c.oid)
                 AND h.relation IS NULL THEN pg_indexes_size(c.oid) END AS index_bytes,
       coalesce(substring(array_to_string(c.reloptions, ',') FROM 'fillfactor=([0-9]+)')::int, 100) AS fillfactor,
       pg_stat_get_live_tuples(c.oid) AS live_rows, pg_stat_get_dead_tuples(c.oid) AS dead_rows,
       pg_stat_get_mod_since_analyze(c.oid) AS modified_rows,
       to_char(greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AT TIME ZONE 'UTC',
         'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS last_analyze,
       to_char(greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AT TIME ZONE 'UTC',
         'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS last_vacuum
FROM pg_namespace AS n
  JOIN pg_class AS c ON c.relnamespace = n.oid
  LEFT JOIN pg_am AS am ON am.oid = c.relam
  LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (c.oid, c.reltoastrelid) LIMIT 1) AS h ON true
WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text) AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
