-- The columns of a partition p of `part`: its key, how it is dropped, and what is dropped with it.

SELECT p.partition_schema AS partition_schema, p.partition AS partition, CAST(p.partition_oid AS text) AS oid, p.bound AS bound,
       CASE WHEN p.pending THEN 'finalize' ELSE 'detach' END AS next, p.rows AS rows, p.bytes AS bytes,
       ARRAY(SELECT DISTINCT CAST(CAST(f.confrelid AS regclass) AS text) FROM pg_constraint AS f
             WHERE f.contype = 'f' AND f.conrelid = p.partition_oid ORDER BY 1) AS referenced
