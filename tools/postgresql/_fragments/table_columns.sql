-- The columns of a `target` of tables that table_estimate reads, with the current size. Reads `held` as h.

  SELECT c.oid, n.nspname AS schema_name, c.relname, c.relkind, c.reltuples,
         CASE WHEN h.relation IS NULL THEN pg_relation_size(c.oid) / current_setting('block_size')::int
           ELSE c.relpages END AS pages,
         coalesce(substring(array_to_string(c.reloptions, ',') FROM 'fillfactor=([0-9]+)')::int, 100) AS fillfactor,
         am.amname, h.relation IS NOT NULL AS held,
         -- unlogged tables are empty on a standby
         c.relkind IN ('r', 'm') AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery()) AS stored,
         pg_stat_get_mod_since_analyze(c.oid) AS modified,
         greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed,
