-- name: inspect_residue
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- max_execution_time: 30
-- idempotent: true
-- returns:
--   residue: rows(databases, marks, slots, indexes)
-- examples: [{params: {}}]
--
-- What runs of aishell that were killed can have left in this cluster and database, by the names and marks that aishell gives: scratch
-- databases, the mark of a restored database, replication slots for physical increments, copies of indexes that were being rebuilt.
-- What is in use is left out: a database with a session in it, an active slot, an index under construction. Whose run it was, and
-- whether that can still be resumed, is not known here. Reads catalogs and takes no lock.

-- databases: scratch databases that nobody is in
SELECT 'scratch database' AS kind, d.datname::text AS name, d.oid::text AS oid, NULL::text AS schema, NULL::text AS "table",
       CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) END AS bytes,
       NULL::text AS since, NULL::text AS mark
FROM pg_database AS d
WHERE d.datname ~ '^aishell_scratch_[0-9a-f]{8}(_new)?$'
  -- of sessions that this role may not look into, the kind is hidden
  AND NOT EXISTS (SELECT 1 FROM pg_stat_activity AS a
                  WHERE a.datid = d.oid AND coalesce(a.backend_type, 'client backend') = 'client backend')
ORDER BY d.datname

-- marks: restored databases that still tell which step has made them
SELECT 'restore mark' AS kind, d.datname::text AS name, d.oid::text AS oid, NULL::text AS schema, NULL::text AS "table",
       NULL::bigint AS bytes, NULL::text AS since, split_part(c.setting, '=', 2) AS mark
FROM pg_db_role_setting AS s
JOIN pg_database AS d ON d.oid = s.setdatabase
CROSS JOIN LATERAL unnest(s.setconfig) AS c(setting)
WHERE s.setrole = 0 AND split_part(c.setting, '=', 1) = 'aishell.restored_by'
  AND d.datname !~ '^aishell_scratch_[0-9a-f]{8}(_new)?$'
ORDER BY d.datname

-- slots: slots for increments that nobody reads from now, and the WAL that they keep
SELECT 'replication slot' AS kind, s.slot_name::text AS name, NULL::text AS oid, NULL::text AS schema, NULL::text AS "table",
       CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint END AS bytes,
       to_jsonb(s) ->> 'inactive_since' AS since,  -- from version 17 on
       NULL::text AS mark
FROM pg_replication_slots AS s
WHERE s.slot_type = 'physical' AND NOT s.active AND NOT s.temporary AND s.slot_name::text ~ '^aishell_[0-9a-f]{8}$'
ORDER BY s.slot_name

-- indexes: invalid ones, named as a rebuild names its copies, that nobody builds
SELECT 'invalid index' AS kind, x.relname::text AS name, x.oid::text AS oid, n.nspname::text AS schema, c.relname::text AS "table",
       x.relpages * current_setting('block_size')::bigint AS bytes, NULL::text AS since, NULL::text AS mark
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND x.relname ~ '_cc(new|old)[0-9]*$'
  AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index AS b WHERE b.index_relid = x.oid OR b.relid = c.oid)
ORDER BY n.nspname, c.relname, x.relname
