-- name: replace_database
-- engine: postgresql >= 12
-- category: restore
-- risk: critical
-- capabilities: [database_read, database_write, backup_restore]
-- runs: program
-- implementation: aishell.backups.postgresql.replace:replace
-- lock: ACCESS EXCLUSIVE
-- lock_timeout: 5
-- max_execution_time: 86400
-- idempotent: true
-- parameters:
--   backup_id: {type: string, description: the backup that was restored}
--   database: {type: identifier, description: the database that is replaced}
--   place: {type: identifier, description: 'the restored database, which takes its name'}
--   kept: {type: identifier, description: the name under which the replaced database is kept}
--   oid: {type: string, description: OID of the restored database}
--   becomes: {type: string, description: 'the identity of the target afterwards, by which an interrupted run recognizes it'}
--   safety: {type: string, default: null, description: 'the verified backup of the replaced database; null if a person chose to do without'}
--   compare: {type: boolean, default: true, description: 'check again that the restored database matches the backup'}
--   terminate: {type: boolean, default: false, description: terminate sessions connected to the database instead of refusing}
--   owners: {type: boolean, default: null, description: whether owners and privileges were restored}
--   back: {type: boolean, default: false, description: 'undo an exchange: the place is the database that was replaced, and is not changed'}
--   jobs: {type: integer, editable: true, default: 2, minimum: 1, maximum: 64, description: 'number of objects processed in parallel, each over its own connection'}
-- returns:
--   backup_id: {type: string}
--   database: {type: string}
--   kept: {type: [string, "null"], description: name of the replaced database}
--   replaced: {type: string, description: OID of the replaced database}
--   removal: {type: [string, "null"], description: 'the statement that drops it once it is no longer wanted'}
--   compared: {type: boolean}
--   ended: {type: array, description: sessions that were terminated}
--   notes: {type: array}
-- undo:
--   tool: replace_database
--   how: the names are exchanged back; what was written since then stays in the restored database
--   params: {backup_id: '${params.backup_id}', database: '${params.database}', place: '${params.kept}', kept: '${params.place}',
--     oid: '${output.replaced}', becomes: '${target.identity}', terminate: '${params.terminate}', compare: false, back: true}
-- examples:
--   - params: {backup_id: 20261121T031500Z-full-1a2b3c4d-backup, database: shop, place: shop_restored, kept: shop_replaced, oid: '16400',
--       becomes: system 7 at /var/lib/postgresql/15/main database 16400 shop}
--
-- Replace a database with a restored one; the old database is kept under the name `kept`. Two renames in one transaction:
-- either both happen or neither. No session may be connected to either database then. Sessions in the database being replaced
-- make the tool refuse, unless they are to be terminated; clients that connect at that moment wait until it is done. Before
-- that, the restored database is compared once more with the backup, and analyzed. Clients that connect by the name afterwards
-- reach the restored database.

-- do_analyse: in the restored database, since a dump has no statistics; not when exchanging back
ANALYZE

-- do_leave: terminate aishell's own sessions in both, and if requested those of others in the database being replaced
SELECT count(pg_terminate_backend(a.pid)) AS sessions
FROM pg_stat_activity AS a
WHERE a.datname IN (:database, :place) AND a.pid <> pg_backend_pid()
  AND ((CAST(:terminate AS boolean) AND a.datname = :database)
       OR coalesce(starts_with(a.application_name, :ours) OR (a.application_name ~ '^aishell(:inspect.*)?$' AND a.state = 'idle'), false))

-- do_unmark: remove the mark of the restored database, whose restore is recorded
ALTER DATABASE {place} RESET aishell.restored_by

-- do_keep: the present database is kept under another name
ALTER DATABASE {database} RENAME TO {kept}

-- do_replace: the restored database takes its name
ALTER DATABASE {place} RENAME TO {database}

-- names: which of the three names exist
SELECT d.datname::text AS name, d.oid::text AS oid FROM pg_database AS d WHERE d.datname IN (:database, :place, :kept)

-- sessions: sessions in the database being replaced, except those of this run and its inspection; autovacuum does not count
SELECT format('pid %s, user %s, from %s, application %s', a.pid, coalesce(a.usename, 'none'),
              coalesce(host(a.client_addr), a.client_hostname, 'this host'),
              coalesce(nullif(a.application_name, ''), a.backend_type, 'unnamed')) AS who
FROM pg_stat_activity AS a
WHERE a.datname = :database AND a.pid <> pg_backend_pid() AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
  AND NOT coalesce(starts_with(a.application_name, :ours) OR (a.application_name ~ '^aishell(:inspect.*)?$' AND a.state = 'idle'), false)
ORDER BY a.backend_start

-- removal: the statement by which a person drops the old database; shown and never sent
DROP DATABASE {kept}

-- include: backup_itself

-- include: backup_place

-- include: backup_prints
