-- The SELECT after `held`: whether another, valid index has replaced the one that was rebuilt.

SELECT x.oid <> CAST(:oid AS oid) AND i.indisvalid AND i.indisready AND i.indislive
         -- pg_get_indexdef() would wait for a locked table
         AND CASE WHEN h.relation IS NULL THEN pg_get_indexdef(x.oid) = CAST(:definition AS text) ELSE true END AS ok,
       CASE WHEN h.relation IS NULL THEN pg_relation_size(x.oid)
         ELSE x.relpages * current_setting('block_size')::bigint END AS bytes
FROM pg_namespace AS n
JOIN pg_class AS x ON x.relnamespace = n.oid AND x.relname = CAST(:index_name AS text)
JOIN pg_index AS i ON i.indexrelid = x.oid AND i.indrelid = CAST(:table_oid AS oid)
LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (x.oid, i.indrelid) LIMIT 1) AS h ON true
WHERE n.nspname = CAST(:schema AS text)
