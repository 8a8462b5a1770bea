-- name: inspect_tables
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 60
-- idempotent: true
-- returns:
--   tables: rows(tables)
-- examples: [{params: {}}]
--
-- List every table, partition, view, materialized view and foreign table with its size, dead rows, age of statistics and
-- estimated bloat. One query returns all of them. Sizes are pg_class.relpages as of the last VACUUM or ANALYZE (TOAST
-- included), never from a size function, which would queue behind a locked table. A table that was never vacuumed or analyzed
-- has no size yet (NULL). Partitioned parents hold no data; their partitions are listed separately. The bloat estimate compares
-- the actual pages with the pages that the rows need at the average width found by ANALYZE (after the check_postgres and
-- pgsql-bloat-estimation queries, with padding added). It is right within a few points with fresh statistics and 80 points off
-- with stale ones, so it is withheld when more than 10 % of the rows + 50 have changed since the last ANALYZE, and when the
-- role may not read the statistics (pg_read_all_data or SELECT is needed; pg_monitor is not enough). TOAST is not part of the
-- estimate.

-- tables: one row per relation that is not a system object
WITH target AS MATERIALIZED (
  SELECT c.oid, n.nspname AS schema_name, c.relname, c.relkind, c.reltuples, c.relpages AS pages,
         coalesce(substring(array_to_string(c.reloptions, ',') FROM 'fillfactor=([0-9]+)')::int, 100) AS fillfactor,
         am.amname, false AS held,
         -- unlogged tables are empty on a standby
         c.relkind IN ('r', 'm') AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery()) AS stored,
         pg_stat_get_mod_since_analyze(c.oid) AS modified,
         greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed,
         greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed,
         CASE WHEN c.relpersistence = 't' THEN 'temporary' WHEN c.relkind = 'r' AND c.relispartition THEN 'partition'
            ELSE CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'm' THEN 'matview'
                 WHEN 'v' THEN 'view' WHEN 'f' THEN 'foreign' END END AS kind,
         toast.relpages AS toast_pages,
         pg_stat_get_live_tuples(c.oid) AS live, pg_stat_get_dead_tuples(c.oid) AS dead,
         pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid) AS writes,
         round(greatest(
           100.0 * greatest(age(nullif(c.relfrozenxid, '0')), age(nullif(toast.relfrozenxid, '0')))
             / current_setting('autovacuum_freeze_max_age')::numeric,
           100.0 * greatest(mxid_age(nullif(c.relminmxid, '0')), mxid_age(nullif(toast.relminmxid, '0')))
             / current_setting('autovacuum_multixact_freeze_max_age')::numeric), 1) AS freeze_age_percent
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_class AS toast ON toast.oid = c.reltoastrelid
  LEFT JOIN pg_am AS am ON am.oid = c.relam
  WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'
    AND n.nspname !~ '^pg_'
),
-- include: table_estimate,
indexes AS (
  SELECT i.indrelid, sum(x.relpages) FILTER (WHERE x.relkind = 'i') AS pages, bool_or(i.indisprimary) AS primary_key
  FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid GROUP BY i.indrelid
)
SELECT t.schema_name AS schema,
       t.relname AS "table",
       t.kind AS kind,
       t.oid::text AS oid,
       t.amname AS storage,
       -- reltuples is -1 (before version 14: 0, with 0 pages) until the first VACUUM or ANALYZE
       CASE WHEN t.relkind IN ('p', 'v') THEN NULL WHEN t.pages > 0 AND t.reltuples >= 0 THEN t.reltuples::bigint
            WHEN t.stored THEN greatest(t.live, t.reltuples::bigint) WHEN t.reltuples > 0 THEN t.reltuples::bigint END AS rows,
       CASE WHEN t.stored AND (t.pages > 0 OR t.live + t.dead = 0)
            THEN (t.pages + coalesce(t.toast_pages, 0)) * current_setting('block_size')::bigint END AS bytes,
       CASE WHEN t.stored THEN coalesce(i.pages, 0) * current_setting('block_size')::bigint END AS index_bytes,
       CASE WHEN t.stored THEN t.dead END AS dead_rows,
       CASE WHEN t.stored THEN t.live END AS live_rows,
       CASE WHEN t.stored THEN t.modified END AS modified_rows,
       to_char(t.analyzed AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS last_analyze,
       to_char(t.vacuumed AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS last_vacuum,
       t.freeze_age_percent AS freeze_age_percent,
       CASE WHEN t.withheld IS NULL THEN (t.pages * current_setting('block_size')::bigint * t.percent / 100)::bigint END AS free_bytes,
       CASE WHEN t.withheld IS NULL THEN round(t.percent::numeric, 1) END AS fragmentation_percent,
       CASE WHEN t.withheld IS NULL THEN 'estimate from statistics' END AS fragmentation_method,
       CASE WHEN t.stored THEN t.withheld END AS withheld,
       CASE WHEN t.stored THEN t.writes END AS writes,
       CASE WHEN t.relkind IN ('r', 'p') THEN coalesce(i.primary_key, false) END AS has_primary_key
FROM estimate AS t
LEFT JOIN indexes AS i ON i.indrelid = t.oid
ORDER BY t.schema_name, t.relname
