-- name: backup_database_incremental
-- engine: postgresql >= 13
-- category: backup
-- risk: low
-- capabilities: [database_read, file_write, backup_create]
-- runs: program
-- implementation: aishell.backups.postgresql.basebackup:incremental
-- programs:
--   receivewal: [pg_receivewal, '--directory=:folder', '--endpos=:endpos', --no-loop, --no-password, '--dbname=:dbname']
--   basebackup: [pg_basebackup, '--pgdata=:folder', '--incremental=:old_manifest', --format=plain, --wal-method=stream,
--     --checkpoint=fast, --manifest-checksums=SHA256, '--label=:label', '--max-rate=:max_rate', ':tablespaces', --no-password,
--     '--dbname=:dbname']
--   verifybackup: [pg_verifybackup, --quiet, ':folder']
--   waldump: [pg_waldump, --stats, '--path=:folder', '--timeline=:timeline', '--start=:begin', '--end=:end']
--   tablespaces: [pg_waldump, --rmgr=Tablespace, '--path=:folder', '--timeline=:timeline', '--start=:begin', '--end=:end']
-- max_execution_time: 86400
-- idempotent: true
-- parameters:
--   destination: {type: string, default: null, description: a folder inside the backup folder}
--   parent: {type: string, default: null, description: 'the parent backup; default: the newest verified physical one'}
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
-- examples: [{params: {}}]
--
-- Back up what the whole cluster has changed since its last verified physical backup. This is its WAL, which allows a restore
-- to any point in time since then, or from version 17 on, where the server summarizes WAL, the changed pages. For WAL the
-- server is made to switch to a new segment.

-- include: physical_backup

-- mark: a separate transaction, by which a point-in-time restore finds its end
SELECT m::text AS lsn, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS at
FROM pg_logical_emit_message(true, 'aishell', CAST(:marker AS text)) AS m

-- switch: end the segment, so that it is complete
SELECT pg_switch_wal()::text AS lsn
