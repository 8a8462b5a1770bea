-- name: backup_database_full
-- engine: postgresql >= 12
-- category: backup
-- risk: low
-- capabilities: [database_read, file_write, backup_create]
-- runs: program
-- implementation: aishell.backups.postgresql.dump:full
-- programs:
--   dump: [pg_dump, --format=directory, '--file=:folder', '--jobs=:jobs', '--compress=:level', '--snapshot=:snapshot',
--     '--lock-wait-timeout=:lock_wait', --no-sync, --no-password, '--dbname=:login']
--   slow_dump: [pg_dump, --format=custom, '--compress=:level', '--snapshot=:snapshot', '--lock-wait-timeout=:lock_wait', --no-password,
--     '--dbname=:login']
--   roles: [pg_dumpall, --globals-only, ':without', '--file=:file', --no-sync, --no-password, '--database=:database', '--dbname=:login']
--   contents: [pg_restore, --list, ':folder']
--   sequences: [pg_restore, '--use-list=:list', '--file=:file', ':folder']
--   read: [pg_restore, --file=/dev/null, ':folder']
-- lock: ACCESS SHARE
-- lock_timeout: 60
-- max_execution_time: 86400
-- privileges: [SELECT]
-- idempotent: true
-- parameters:
--   destination: {type: string, default: null, description: a folder inside the backup folder}
--   expected_bytes: {type: integer, default: null, description: the expected size; the backup does not start if there is less free space}
--   compare: {type: boolean, default: true, description: 'keep fingerprints of every table, to compare it after a restore'}
--   compression: {type: string, default: gzip, enum: [none, gzip, zstd], description: 'zstd needs pg_dump 16 or later, built with it'}
--   max_rate: {type: integer, editable: true, default: null, minimum: 32, maximum: 1048576, description: 'maximum kB written a second, by one job'}
--   jobs: {type: integer, editable: true, default: 2, minimum: 1, maximum: 64, description: 'number of tables dumped in parallel, each over its own connection'}
-- returns:
--   backup_id: {type: string}
--   backup_path: {type: string}
--   bytes: {type: integer}
--   source_bytes: {type: [integer, "null"]}
--   rung: {type: string}
--   manifest: {type: string}
--   parent: {type: [string, "null"]}
--   objects: {type: [integer, "null"], description: number of objects with a fingerprint}
-- examples: [{params: {}}, {params: {compression: none, jobs: 4}}]
--
-- Dump the database with pg_dump, and the cluster's roles with pg_dumpall, while the application continues. All tables and
-- their fingerprints are of the same snapshot. Meanwhile tables are locked against DROP, TRUNCATE and other schema changes; if
-- such a change waits for one of them, the backup fails. Nothing is written until it is certain that the role may read every
-- table in full. The backup gets its name once every file has been read back and recorded in the manifest.

-- include: backup_obstacles

-- snapshot: exported for pg_dump, which sees what this session sees
SELECT pg_export_snapshot() AS snapshot

-- about: the properties that a restored database needs, and the WAL position
SELECT current_database() AS database, pg_database_size(d.oid) AS bytes, pg_encoding_to_char(d.encoding) AS encoding,
       d.datcollate AS collation, d.datctype AS ctype, coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') AS provider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale, to_jsonb(d) ->> 'daticurules' AS rules,
       pg_get_userbyid(d.datdba)::text AS owner, has_table_privilege('pg_authid', 'SELECT') AS passwords,
       EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = 'public') AS public,
       (SELECT array_agg(r.rolname::text ORDER BY r.rolname) FROM pg_roles AS r
        WHERE r.oid = d.datdba
          OR r.oid IN (SELECT s.refobjid FROM pg_shdepend AS s WHERE s.refclassid = 'pg_authid'::regclass
                       AND (s.dbid = d.oid OR (s.classid = 'pg_database'::regclass AND s.objid = d.oid)))
          OR r.oid IN (SELECT x.setrole FROM pg_db_role_setting AS x WHERE x.setdatabase = d.oid)) AS roles,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('role', CASE WHEN x.setrole <> 0 THEN pg_get_userbyid(x.setrole) END,
                                                     'settings', (SELECT array_agg(c.setting) FROM unnest(x.setconfig) AS c(setting)
                                                                  WHERE c.setting !~ '^aishell[.]'))), '[]')
        FROM pg_db_role_setting AS x WHERE x.setdatabase = d.oid) AS settings,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS lsn
FROM pg_database AS d WHERE d.datname = current_database()

-- include: backup_itself

-- include: backup_prints
