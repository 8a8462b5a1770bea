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
--   increments: {type: keyword, enum: [wal, pages, none], default: null, description: what increments will be made of; else what fits the server}
--   max_rate: {type: integer, editable: true, default: null, minimum: 32, maximum: 1048576, description: at most so many kB a second}
-- returns:
--   backup_id: {type: string}
--   backup_path: {type: string}
--   bytes: {type: integer}
--   source_bytes: {type: [integer, "null"]}
--   rung: {type: string}
--   manifest: {type: string}
--   parent: {type: [string, "null"]}
--   objects: {type: [integer, "null"], description: 'none: what a server has in memory and WAL has no fingerprint'}
--   warnings: {type: array, description: what the server should be told}
-- examples: [{params: {}}]
--
-- A physical copy of the whole cluster, all of its databases, by pg_basebackup, while the application goes on. Increments can be
-- made on it, and of those a restore to any moment where they are WAL: before version 17, and where WAL is not summarized, a
-- replication slot of ours then keeps WAL on the server until an increment has it. Needs a role with REPLICATION.

-- include: physical_backup

-- hold: keep WAL from here on, as long as this session lasts
SELECT s.slot_name::text AS slot FROM pg_create_physical_replication_slot(CAST(:holder AS name), true, true) AS s

-- keep: the lasting slot, from where the temporary one is
SELECT s.slot_name::text AS slot FROM pg_copy_physical_replication_slot(CAST(:holder AS name), CAST(:slot AS name), false) AS s

-- drop_slot: a slot that lost its WAL, or of a backup that was not finished
SELECT pg_drop_replication_slot(CAST(:slot AS name)) AS dropped
