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
--   physical: {type: boolean, default: null, description: 'whether the newest one is to be by mariadb-backup; left out: either'}
--   jobs: {type: integer, editable: true, default: 2, minimum: 1, maximum: 64, description: files that mariadb-backup reads at a time}
--   compare: {type: boolean, default: true, description: 'keep fingerprints of every table, to compare a restored one with'}
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
--   warnings: {type: array, description: 'what is not in it, or not of its moment, or not compared'}
-- examples: [{params: {}}]
--
-- On a dump: copies the server's binary logs since the parent, after the one that is written to was ended (FLUSH BINARY LOGS). They
-- hold the changes of all databases of the server; of these only the target's are restored. Needs binlog_format = ROW, and RELOAD,
-- REPLICATION SLAVE and BINLOG MONITOR (MySQL: REPLICATION CLIENT). What could not be restored into a copy makes it fail at
-- once, such as a statement that was logged as such, the whole database being dropped, or changed rows of a table with FLOAT and without a key: then a full backup is
-- due. The server has to keep its logs until the next increment has them. Fingerprints read every table.
-- On a backup by mariadb-backup: copies the pages of the whole server that were changed since, for which it reads all of them, and
-- the tables that are not InnoDB's; under the conditions of `backup_cluster`.

-- include: backup_login

-- include: backup_moment

-- gtid: what the binary log holds before a place in it; MariaDB only
SELECT BINLOG_GTID_POS(:file, :position) AS gtid

-- logs: the files there are, in order
SHOW BINARY LOGS

-- inexact: tables with FLOAT, which a dump rounds, and without a key that has none and is never NULL
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

-- flush: end the file that is written to, so that it can be copied as a whole
FLUSH BINARY LOGS

-- include: backup_prints

-- include: physical_backup
