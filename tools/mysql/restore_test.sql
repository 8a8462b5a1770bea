-- name: restore_test
-- engine: mysql >= 8, mariadb >= 10.6
-- category: restore
-- risk: medium
-- capabilities: [database_read, file_write, backup_restore]
-- runs: program
-- implementation: aishell.backups.restore.restore:restore_test
-- foresees: aishell.backups.restore.restore:foresee
-- programs:
--   client: [mariadb, '--defaults-file=:options', --binary-mode, --batch, --comments, --default-character-set=utf8mb4,
--     --max-allowed-packet=1073741824, '--database=:place']
--   scan: [mariadb-binlog, --no-defaults, --verify-binlog-checksum, --loose-skip-annotate-row-events, '--start-position=:start',
--     '--stop-position=:stop', '--stop-datetime=:until', --, ':files']
--   unpack: [mbstream, --extract, '--directory=:folder']
--   prepare: [mariadb-backup, --no-defaults, --prepare, '--target-dir=:folder', '--incremental-dir=:increment',
--     '--innodb-page-size=:page_size', '--innodb-data-file-path=:system', '--innodb-undo-tablespaces=:undos']
--   pages: [innochecksum, '--tablespace-flags=:flags', '--start-page=:begin', '--end-page=:end', ':file']
--   server: [mariadbd, --no-defaults, '--datadir=:data', '--socket=:control/socket', '--pid-file=:control/pid', '--tmpdir=:control/tmp',
--     --skip-networking, --skip-grant-tables, --skip-slave-start, --event-scheduler=OFF, --skip-log-bin, --loose-wsrep-on=OFF,
--     '--innodb-page-size=:page_size', '--innodb-data-file-path=:system', '--innodb-undo-tablespaces=:undos',
--     '--lower-case-table-names=:fold', --innodb-log-file-size=16M, --innodb-buffer-pool-size=64M, --innodb-doublewrite=OFF,
--     --innodb-flush-log-at-trx-commit=0, --innodb-buffer-pool-load-at-startup=OFF, --innodb-buffer-pool-dump-at-shutdown=OFF]
-- lock: none
-- max_execution_time: 86400
-- idempotent: true
-- parameters:
--   backup_id: {type: string}
-- forms:
--   plain: "COALESCE({column}, 'N')"
--   hex: "COALESCE(HEX({column}), 'N')"
--   utc: "COALESCE(UNIX_TIMESTAMP({column}), 'N')"
--   long: "COALESCE(MD5({column}), 'N')"
-- lists:
--   values: '{form}'
-- returns:
--   backup_id: {type: string}
--   compared: {type: integer, description: number of objects compared with the backup}
--   differences: {type: array}
--   rung: {type: string}
-- examples: [{params: {backup_id: 20261121T031500Z-full-1a2b3c4d-backup}}]
--
-- Restore a backup into a scratch database on the target's server, compare it with the backup, and drop it. Backups it depends
-- on are included. Compares every table row by row and every definition. Fails if anything differs. If the account may do that,
-- nothing is written to the binary log, so replicas do not get the database. Its events are disabled. For a backup by
-- mariadb-backup, a separate server is started on the restored files and CHECK TABLE reads every table and index; rows are not
-- compared.

-- include: backup_definitions

-- include: backup_login

-- include: backup_place

-- include: backup_prints

-- every_table: of all databases, including system databases
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS name
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema')
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')
 ORDER BY t.TABLE_SCHEMA, t.TABLE_NAME

-- check_table: the rows and indexes of one table
CHECK TABLE {schema}.{name}
