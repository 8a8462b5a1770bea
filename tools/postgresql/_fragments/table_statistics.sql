-- The SELECT after `held`: size, rows and maintenance of one table.

SELECT CASE WHEN c.relpersistence = 't' THEN 'temporary' WHEN c.relkind = 'r' AND c.relispartition THEN 'partition'
            ELSE CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'm' THEN 'matview'
                 WHEN 'v' THEN 'view' WHEN 'f' THEN 'foreign' END END AS kind, c.oid::text AS oid, am.amname AS storage,
       -- -1, or before version 14 0 with 0 pages, until the first VACUUM or ANALYZE; of a partitioned parent always before 14
       CASE WHEN c.relkind IN ('r', 'p', 'm')
              AND (c.reltuples > 0 OR c.reltuples = 0 AND (c.relpages <> 0 OR c.relkind <> 'p' AND pg_stat_get_live_tuples(c.oid) = 0))
            THEN c.reltuples::bigint END AS rows,
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
