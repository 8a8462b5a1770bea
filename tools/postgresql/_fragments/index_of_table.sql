-- CTE `target`: the indexes of {schema}.{table}, with the columns that the estimate and the measurement need. Reads `held`.

target AS MATERIALIZED (
  SELECT x.oid, i.indrelid, n.nspname AS schema_name, c.relname AS table_name, x.relname AS index_name,
         CASE WHEN h.relation IS NULL THEN pg_relation_size(x.oid) / current_setting('block_size')::int
           ELSE x.relpages END AS pages,
         greatest(x.reltuples, 0) AS reltuples, am.amname, am.amname = 'btree' AS btree,
         coalesce(substring(array_to_string(x.reloptions, ',') FROM 'fillfactor=([0-9]+)')::int, 90) AS fillfactor,
         h.relation IS NOT NULL AS held,
         i.indisvalid AND i.indisready AND i.indislive AS valid, i.indisunique, i.indisexclusion,
         i.indpred IS NOT NULL AS partial,
         i.indnkeyatts, i.indnatts, i.indkey, i.indclass,
         coalesce(substring(array_to_string(x.reloptions, ',') FROM 'deduplicate_items=(\w+)'), 'on') AS deduplicate,
         c.relkind, c.reltuples AS table_rows,
         pg_stat_get_mod_since_analyze(c.oid) AS modified,
         greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed
  FROM pg_namespace AS n
  JOIN pg_class AS c ON c.relnamespace = n.oid
  JOIN pg_index AS i ON i.indrelid = c.oid
  JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
  JOIN pg_am AS am ON am.oid = x.relam
  LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (x.oid, c.oid) LIMIT 1) AS h ON true
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text)
    AND NOT (x.relpersistence = 'u' AND pg_is_in_recovery())  -- unlogged tables are empty on a standby
)
