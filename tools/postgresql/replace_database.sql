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
--   backup_id: {type: string, description: what was restored}
--   database: {type: identifier, description: the database that is replaced}
--   place: {type: identifier, description: the database that takes its name}
--   kept: {type: identifier, description: the name under which the replaced one stays}
--   oid: {type: string, description: that of the place}
--   becomes: {type: string, description: 'the identity of the target afterwards, by which an interrupted run knows it again'}
--   safety: {type: string, default: null, description: 'the verified backup of what is replaced; null where a person did without'}
--   compare: {type: boolean, default: true, description: 'look once more whether the place is what the backup saw'}
--   terminate: {type: boolean, default: false, description: end the sessions that are in the database instead of refusing}
--   owners: {type: boolean, default: null, description: as it was restored}
--   back: {type: boolean, default: false, description: 'the exchange back: the place is what was replaced, and stays as it is'}
--   jobs: {type: integer, editable: true, default: 2, minimum: 1, maximum: 64, description: 'objects at a time, each over a connection of its own'}
-- returns:
--   backup_id: {type: string}
--   database: {type: string}
--   kept: {type: [string, "null"], description: where what was replaced is}
--   replaced: {type: string, description: its OID}
--   removal: {type: [string, "null"], description: 'what removes that, once nobody wants it any more'}
--   compared: {type: boolean}
--   ended: {type: array, description: sessions that were ended}
--   notes: {type: array}
-- undo:
--   tool: replace_database
--   how: the names are exchanged back; what was written since then stays in the database that was restored
--   params: {backup_id: '${params.backup_id}', database: '${params.database}', place: '${params.kept}', kept: '${params.place}',
--     oid: '${output.replaced}', becomes: '${target.identity}', terminate: '${params.terminate}', compare: false, back: true}
-- examples:
--   - params: {backup_id: 20261121T031500Z-full-1a2b3c4d-backup, database: shop, place: shop_restored, kept: shop_replaced, oid: '16400',
--       becomes: system 7 at /var/lib/postgresql/15/main database 16400 shop}
--
-- Puts a restored database in the place of another one, which stays under the name `kept`: two renames in one transaction, so that
-- either both have happened or none. Nobody may be in either database then. Sessions in the one that is replaced are a reason to
-- refuse, unless they are to be ended; whoever connects in that moment waits for the end of it. Before that the place is
-- compared once more with what the backup saw, and analysed. Whoever connects by the name afterwards is in the restored one.

-- do_analyse: in what was restored, since a dump has no statistics; not on the way back
ANALYZE

-- do_leave: end our own sessions in both, and those of others in the database that is replaced where that is wanted
SELECT count(pg_terminate_backend(a.pid)) AS sessions
FROM pg_stat_activity AS a
WHERE a.datname IN (:database, :place) AND a.pid <> pg_backend_pid()
  AND ((CAST(:terminate AS boolean) AND a.datname = :database)
       OR coalesce(starts_with(a.application_name, :ours) OR (a.application_name ~ '^aishell(:inspect.*)?$' AND a.state = 'idle'), false))

-- do_unmark: what told whose the restored database was; its restore is recorded
ALTER DATABASE {place} RESET aishell.restored_by

-- do_keep: what is there now stays, under another name
ALTER DATABASE {database} RENAME TO {kept}

-- do_replace: what was restored takes its name
ALTER DATABASE {place} RENAME TO {database}

-- names: which of the three are there
SELECT d.datname::text AS name, d.oid::text AS oid FROM pg_database AS d WHERE d.datname IN (:database, :place, :kept)

-- sessions: who is in the database that is replaced, beside this run and what it has looked with; nobody waits for autovacuum
SELECT format('pid %s, user %s, from %s, application %s', a.pid, coalesce(a.usename, 'none'),
              coalesce(host(a.client_addr), a.client_hostname, 'this host'),
              coalesce(nullif(a.application_name, ''), a.backend_type, 'unnamed')) AS who
FROM pg_stat_activity AS a
WHERE a.datname = :database AND a.pid <> pg_backend_pid() AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
  AND NOT coalesce(starts_with(a.application_name, :ours) OR (a.application_name ~ '^aishell(:inspect.*)?$' AND a.state = 'idle'), false)
ORDER BY a.backend_start

-- removal: what a person sends, once the old one is not wanted any more; it is shown and never sent
DROP DATABASE {kept}

-- include: backup_itself

-- include: backup_place

-- include: backup_prints
