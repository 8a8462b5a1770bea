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
-- List what killed runs of aishell may have left in this cluster and database, by the names and marks that aishell gives. These
-- are scratch databases, the mark of a restored database, replication slots for physical increments, and copies of indexes
-- being rebuilt. Whatever is in use is left out: a database with a connected session, an active slot, an index under
-- construction. The tool does not know which run left something, or whether that run can still be resumed. Reads catalogs and
-- takes no lock.

-- databases: scratch databases without a connected session
SELECT 'scratch database' AS kind, d.datname::text AS name, d.oid::text AS oid, NULL::text AS schema, NULL::text AS "table",
       CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) END AS bytes,
       NULL::text AS since, NULL::text AS mark
FROM pg_database AS d
WHERE d.datname ~ '^aishell_scratch_[0-9a-f]{8}(_new)?$'
  -- the kind of a session that this role may not see is hidden
  AND NOT EXISTS (SELECT 1 FROM pg_stat_activity AS a
                  WHERE a.datid = d.oid AND coalesce(a.backend_type, 'client backend') = 'client backend')
ORDER BY d.datname

-- marks: restored databases that still have the mark of the step that created them
SELECT 'restore mark' AS kind, d.datname::text AS name, d.oid::text AS oid, NULL::text AS schema, NULL::text AS "table",
       NULL::bigint AS bytes, NULL::text AS since, split_part(c.setting, '=', 2) AS mark
FROM pg_db_role_setting AS s
JOIN pg_database AS d ON d.oid = s.setdatabase
CROSS JOIN LATERAL unnest(s.setconfig) AS c(setting)
WHERE s.setrole = 0 AND split_part(c.setting, '=', 1) = 'aishell.restored_by'
  AND d.datname !~ '^aishell_scratch_[0-9a-f]{8}(_new)?$'
ORDER BY d.datname

-- slots: inactive slots for increments, and the WAL that they retain
SELECT 'replication slot' AS kind, s.slot_name::text AS name, NULL::text AS oid, NULL::text AS schema, NULL::text AS "table",
       CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint END AS bytes,
       to_jsonb(s) ->> 'inactive_since' AS since,  -- from version 17 on
       NULL::text AS mark
FROM pg_replication_slots AS s
WHERE s.slot_type = 'physical' AND NOT s.active AND NOT s.temporary AND s.slot_name::text ~ '^aishell_[0-9a-f]{8}$'
ORDER BY s.slot_name

-- indexes: invalid indexes named like the copies of a rebuild that no session is building
SELECT 'invalid index' AS kind, x.relname::text AS name, x.oid::text AS oid, n.nspname::text AS schema, c.relname::text AS "table",
       x.relpages * current_setting('block_size')::bigint AS bytes, NULL::text AS since, NULL::text AS mark
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND x.relname ~ '_cc(new|old)[0-9]*$'
  AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index AS b WHERE b.index_relid = x.oid OR b.relid = c.oid)
ORDER BY n.nspname, c.relname, x.relname
