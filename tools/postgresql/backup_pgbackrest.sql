-- name: backup_pgbackrest
-- engine: postgresql >= 13
-- category: backup
-- risk: low
-- capabilities: [database_read, file_write, backup_create]
-- runs: program
-- implementation: aishell.backups.pgbackrest.method:backup
-- programs:
--   backup: [pgbackrest, '--config=:config', '--stanza=:stanza', '--repo=:repo', '--type=:type', --start-fast, ':annotations',
--     --log-level-console=off, --log-level-stderr=detail, backup]
--   info: [pgbackrest, '--config=:config', '--stanza=:stanza', '--repo=:repo', '--set=:label', --output=json, --log-level-console=off,
--     --log-level-stderr=warn, info]
--   check: [pgbackrest, '--config=:config', '--stanza=:stanza', --log-level-console=off, --log-level-stderr=warn, check]
--   version: [pgbackrest, version]
-- max_execution_time: 86400
-- idempotent: true
-- parameters:
--   type: {type: keyword, enum: [full, incr], default: full, description: incr is based on the newest set in the repository}
--   stanza: {type: string, description: '`pgbackrest.stanza` of the target'}
--   config: {type: string, default: null, description: "pgbackrest's configuration file; by default its own default"}
--   repo: {type: integer, default: 1, minimum: 1, maximum: 256, description: which of the configured repositories}
--   destination: {type: string, default: null, description: 'a folder inside the backup folder, for its manifest'}
-- returns:
--   backup_id: {type: string}
--   backup_path: {type: string, description: folder of the manifest and of pgbackrest's information; the files are in its repository}
--   bytes: {type: integer, description: size in the repository}
--   source_bytes: {type: [integer, "null"]}
--   rung: {type: string}
--   manifest: {type: string}
--   parent: {type: [string, "null"]}
--   objects: {type: [integer, "null"], description: 'null: a physical backup has no fingerprints'}
--   warnings: {type: array, description: warnings of pgbackrest}
-- examples: [{params: {stanza: main}}]
--
-- Back up the whole cluster with pgbackrest into the site's repository while the application continues. First checks that the
-- stanza is of this very server and that archiving works, for which pgbackrest makes the server switch to a new WAL segment.
-- Runs as the operating system account that owns the server's files. Afterwards pgbackrest expires backups by its own retention
-- settings.

-- cluster: what a backup must know about the cluster
SELECT pg_is_in_recovery() AS standby,
       (SELECT k.system_identifier::text FROM pg_control_system() AS k) AS system,
       (SELECT s.setting::bigint * CASE s.unit WHEN '8kB' THEN 8192 ELSE 1 END FROM pg_settings AS s
        WHERE s.name = 'wal_segment_size') AS segment_bytes,
       (SELECT r.rolname FROM pg_roles AS r WHERE r.oid = 10) AS superuser,
       (SELECT max(s.setting) FROM pg_settings AS s WHERE s.name = 'data_directory') AS data_directory,
       (SELECT sum(CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) END)::bigint
        FROM pg_database AS d) AS bytes,
       (SELECT json_object_agg(t.oid::text, pg_tablespace_location(t.oid)) FROM pg_tablespace AS t
        WHERE pg_tablespace_location(t.oid) LIKE '/%') AS tablespaces,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text AS lsn

-- mark: a separate transaction, by which a point-in-time restore finds its end
SELECT m::text AS lsn, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS at
FROM pg_logical_emit_message(true, 'aishell', CAST(:marker AS text)) AS m
