-- name: backup_cluster
-- engine: postgresql >= 13
-- category: backup
-- risk: low
-- capabilities: [database_read, file_write, backup_create]
-- runs: program
-- implementation: aishell.backups.postgresql.basebackup:cluster
-- programs:
--   basebackup: [pg_basebackup, '--pgdata=:folder', --format=plain, --wal-method=stream, --checkpoint=fast,
--     --manifest-checksums=SHA256, '--label=:label', '--max-rate=:max_rate', ':tablespaces', --no-password, '--dbname=:dbname']
--   verifybackup: [pg_verifybackup, --quiet, ':folder']
-- max_execution_time: 86400
-- idempotent: true
-- parameters:
--   destination: {type: string, default: null, description: a folder inside the backup folder}
--   increments: {type: keyword, enum: [wal, pages, none], default: null, description: what increments will consist of; the server decides by default}
--   max_rate: {type: integer, editable: true, default: null, minimum: 32, maximum: 1048576, description: maximum transfer rate in kB a second}
-- returns:
--   backup_id: {type: string}
--   backup_path: {type: string}
--   bytes: {type: integer}
--   source_bytes: {type: [integer, "null"]}
--   rung: {type: string}
--   manifest: {type: string}
--   parent: {type: [string, "null"]}
--   objects: {type: [integer, "null"], description: 'null: a physical backup has no fingerprints'}
--   warnings: {type: array, description: what should be changed on the server}
-- examples: [{params: {}}]
--
-- Copy the whole cluster, with all its databases, by pg_basebackup while the application continues. Increments can be based on
-- the copy. If they consist of WAL (before version 17, and where WAL is not summarized), they allow a restore to any point in
-- time; a replication slot of aishell's then retains WAL on the server until an increment has copied it. Needs a role with
-- REPLICATION.

-- include: physical_backup

-- hold: retain WAL from here on, as long as this session lasts
SELECT s.slot_name::text AS slot FROM pg_create_physical_replication_slot(CAST(:holder AS name), true, true) AS s

-- keep: the permanent slot, starting where the temporary one is
SELECT s.slot_name::text AS slot FROM pg_copy_physical_replication_slot(CAST(:holder AS name), CAST(:slot AS name), false) AS s

-- drop_slot: a slot that has lost its WAL, or of a backup that was not finished
SELECT pg_drop_replication_slot(CAST(:slot AS name)) AS dropped
