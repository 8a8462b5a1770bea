-- The SELECT that ends the statement: the indexes in `result` that may be rebuilt and are above the threshold.

SELECT r.index_name AS index_name, r.bytes AS bytes, round(r.percent::numeric, 1) AS fragmentation,
       CASE WHEN NOT r.held THEN pg_get_indexdef(r.oid) END AS definition, r.oid::text AS oid, r.indrelid::text AS table_oid
FROM result AS r
WHERE r.relkind = 'r' AND r.btree AND r.valid AND NOT r.indisexclusion
  AND NOT (current_setting('server_version_num')::int BETWEEN 140000 AND 140003)
  AND r.bytes >= CAST(:min_index_size AS bigint)
  AND round(r.percent::numeric, 1) > CAST(:fragmentation_threshold AS numeric)
ORDER BY r.reclaimable_bytes DESC, r.index_name
