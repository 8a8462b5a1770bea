-- name: backup_database_incremental
-- engine: mysql >= 8, mariadb >= 10.6
-- category: backup
-- risk: low
-- capabilities: [database_read, file_write, backup_create]
-- runs: program
-- implementation: aishell.backups.mariadb.dump:incremental
-- programs:
--   fetch: [mariadb-binlog, '--defaults-file=:options', --read-from-remote-server, --raw, --verify-binlog-checksum,
--     '--result-file=:folder', --, ':files']
--   scan: [mariadb-binlog, --no-defaults, --verify-binlog-checksum, --loose-skip-annotate-row-events, '--start-position=:start',
--     '--stop-position=:stop', '--stop-datetime=:until', --, ':files']
--   backup: [mariadb-backup, '--defaults-file=:options', --backup, --stream=mbstream, '--target-dir=:told', '--extra-lsndir=:told',
--     '--incremental-lsn=:since', '--parallel=:jobs', --open-files-limit=65535]
--   unpack: [mbstream, --extract, '--directory=:folder']
--   prepare: [mariadb-backup, --no-defaults, --prepare, '--target-dir=:folder', '--incremental-dir=:increment',
--     '--innodb-page-size=:page_size', '--innodb-data-file-path=:system', '--innodb-undo-tablespaces=:undos']
--   pages: [innochecksum, '--tablespace-flags=:flags', '--start-page=:begin', '--end-page=:end', ':file']
-- lock: none
-- max_execution_time: 86400
-- idempotent: true
-- parameters:
--   destination: {type: string, default: null, description: a folder inside the backup folder}
--   parent: {type: string, default: null, description: 'the parent backup; default: the newest verified one'}
--   physical: {type: boolean, default: null, description: 'whether the parent must be a backup by mariadb-backup; default: either'}
--   jobs: {type: integer, editable: true, default: 2, minimum: 1, maximum: 64, description: number of files that mariadb-backup reads in parallel}
--   compare: {type: boolean, default: true, description: 'keep fingerprints of every table, to compare it after a restore'}
-- forms:
--   plain: "COALESCE({column}, 'N')"
--   hex: "COALESCE(HEX({column}), 'N')"
--   utc: "COALESCE(UNIX_TIMESTAMP({column}), 'N')"
--   long: "COALESCE(MD5({column}), 'N')"
-- lists:
--   values: '{form}'
-- returns:
--   backup_id: {type: string}
--   backup_path: {type: string}
--   bytes: {type: integer}
--   source_bytes: {type: [integer, "null"]}
--   rung: {type: string}
--   manifest: {type: string}
--   parent: {type: [string, "null"]}
--   objects: {type: [integer, "null"], description: number of objects with a fingerprint}
--   warnings: {type: array, description: 'what is missing, of another point in time, or not compared'}
-- examples: [{params: {}}]
--
-- Back up what has changed since the parent backup: binary logs after a dump, changed pages after a backup by mariadb-backup.
-- After a dump, copies the server's binary logs since the parent, after closing the current one (FLUSH BINARY LOGS). They
-- contain the changes of all databases of the server; only the target's are restored. Needs binlog_format = ROW, and RELOAD,
-- REPLICATION SLAVE and BINLOG MONITOR (MySQL: REPLICATION CLIENT). It fails at once on changes that could not be restored into
-- a copy, such as a statement logged in statement format, a DROP of the whole database, or changed rows of a table with FLOAT
-- columns and no key: a full backup is needed then. The server must keep its logs until the next increment has copied them.
-- Fingerprints read every table. After a backup by mariadb-backup, copies the pages of the whole server that have changed
-- since, for which it reads all of them, and the tables of engines other than InnoDB, under the conditions of `backup_cluster`.

-- include: backup_login

-- include: backup_moment

-- gtid: the GTIDs before a position of the binary log; MariaDB only
SELECT BINLOG_GTID_POS(:file, :position) AS gtid

-- logs: the binary log files, in order
SHOW BINARY LOGS

-- inexact: tables with FLOAT, which a dump rounds, and without a key of NOT NULL columns that are not FLOAT
SELECT DISTINCT c.TABLE_NAME AS name
  FROM information_schema.COLUMNS AS c
  LEFT JOIN (
    SELECT s.TABLE_NAME AS name
      FROM information_schema.STATISTICS AS s
      JOIN information_schema.COLUMNS AS k
        ON k.TABLE_SCHEMA = s.TABLE_SCHEMA AND k.TABLE_NAME = s.TABLE_NAME AND k.COLUMN_NAME = s.COLUMN_NAME
     WHERE s.TABLE_SCHEMA = DATABASE() AND s.NON_UNIQUE = 0
     GROUP BY s.TABLE_NAME, s.INDEX_NAME
    HAVING SUM(k.DATA_TYPE = 'float' OR k.IS_NULLABLE = 'YES') = 0
  ) AS keyed ON keyed.name = c.TABLE_NAME
 WHERE c.TABLE_SCHEMA = DATABASE() AND CAST(c.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND c.DATA_TYPE = 'float' AND keyed.name IS NULL

-- flush: close the current file, so that it can be copied completely
FLUSH BINARY LOGS

-- include: backup_prints

-- include: physical_backup
