-- name: replace_database
-- engine: mariadb >= 10.6
-- category: restore
-- risk: critical
-- capabilities: [database_read, database_write, backup_restore]
-- runs: program
-- implementation: aishell.backups.mariadb.replace:replace
-- foresees: aishell.backups.mariadb.replace:foresee
-- lock: MDL EXCLUSIVE
-- lock_timeout: 5
-- max_execution_time: 86400
-- idempotent: true
-- parameters:
--   backup_id: {type: string, description: the backup that was restored}
--   database: {type: identifier, description: the database whose content is replaced}
--   place: {type: identifier, description: the restored database; it is dropped once it is empty}
--   kept: {type: identifier, description: the database to which the replaced tables are moved}
--   safety: {type: string, default: null, description: 'the verified backup of the replaced content; null if a person chose to do without'}
--   compare: {type: boolean, default: true, description: 'check again that the restored database matches the backup'}
--   back: {type: boolean, default: false, description: 'undo an exchange: the place has the tables and definitions that were replaced'}
-- forms:
--   plain: "COALESCE({column}, 'N')"
--   hex: "COALESCE(HEX({column}), 'N')"
--   utc: "COALESCE(UNIX_TIMESTAMP({column}), 'N')"
--   long: "COALESCE(MD5({column}), 'N')"
-- lists:
--   values: '{form}'
-- returns:
--   backup_id: {type: string}
--   database: {type: string}
--   kept: {type: [string, "null"], description: where the replaced content is}
--   removal: {type: [string, "null"], description: 'the statement that drops it once it is no longer wanted'}
--   compared: {type: boolean}
--   ended: {type: array, description: sessions that were ended; none}
--   notes: {type: array}
-- undo:
--   tool: replace_database
--   how: tables and definitions are exchanged back; what was written since then stays in the restored tables
--   params: {backup_id: '${params.backup_id}', database: '${params.database}', place: '${params.kept}', kept: '${params.place}',
--     compare: false, back: true}
-- examples: [{params: {backup_id: 20261121T031500Z-full-1a2b3c4d-backup, database: shop, place: shop_restored, kept: shop_replaced}}]
--
-- Replace the content of a database with that of a restored one; the old content is kept. One RENAME TABLE moves all tables of
-- the one out and all of the other in, atomically. Objects that cannot be moved are created again from the server's own
-- definitions: views, routines, triggers and events, which are missing for that moment; the replaced definitions are recorded
-- in `aishell_definitions` beside the kept tables. It waits up to 5 s for transactions that have a table open. It is written to
-- the binary log, and no increment can continue across it: make a full backup afterwards. Refused while replicas are connected,
-- or if foreign keys of other databases reference this one. Privileges on the database do not change.

-- do_move: move the tables of the one out, those of the other in
RENAME TABLE {moves}

-- do_adopt: the defaults for new tables, as in the backup
ALTER DATABASE {database} CHARACTER SET {charset} COLLATE {collation}

-- do_drop_place: drop the restored database, which is empty by now
DROP DATABASE IF EXISTS {place}

-- back_drop_kept: drop the kept database, once its content was moved back
DROP DATABASE IF EXISTS {kept}

-- obstacles: what the exchange would lose or break
SELECT CONCAT('a replica is connected: ', p.USER, '@', p.HOST) AS why
  FROM information_schema.PROCESSLIST AS p
 WHERE p.COMMAND LIKE 'Binlog Dump%'
UNION ALL
SELECT DISTINCT CONCAT('the foreign key ', k.CONSTRAINT_NAME, ' of ', k.TABLE_SCHEMA, '.', k.TABLE_NAME, ' references ', k.REFERENCED_TABLE_NAME)
  FROM information_schema.KEY_COLUMN_USAGE AS k
 WHERE k.REFERENCED_TABLE_SCHEMA = :database AND k.TABLE_SCHEMA <> :database

-- keep: the database to which the replaced content is moved
CREATE DATABASE IF NOT EXISTS {kept} CHARACTER SET {charset} COLLATE {collation}

-- notebook: a table of the definitions to create again, recorded before anything is dropped
CREATE TABLE IF NOT EXISTS {kept}.aishell_definitions (
  `number` int NOT NULL AUTO_INCREMENT PRIMARY KEY,
  origin varchar(8) NOT NULL COMMENT 'replaced, restored, or about: what was counted',
  kind varchar(16) NOT NULL,
  name varchar(200) NOT NULL,
  sql_mode text NOT NULL,
  charset varchar(64) NOT NULL,
  collation varchar(64) NOT NULL,
  zone varchar(64) NULL COMMENT 'events only',
  statement longtext NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin

-- note: record one definition
INSERT INTO {kept}.aishell_definitions (origin, kind, name, sql_mode, charset, collation, zone, statement)
VALUES (:origin, :kind, :name, :sql_mode, :charset, :collation, :zone, :statement)

-- notebooks: whether the table exists
SELECT t.TABLE_NAME AS name
  FROM information_schema.TABLES AS t
 WHERE CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:kept AS BINARY(256)) AND t.TABLE_NAME = 'aishell_definitions'

-- noted: all recorded definitions
SELECT d.origin AS origin, d.kind AS kind, d.name AS name, d.sql_mode AS sql_mode, d.charset AS charset, d.collation AS collation,
       d.zone AS zone, d.statement AS statement
  FROM {kept}.aishell_definitions AS d
 ORDER BY d.`number`

-- tables_in: tables, sequences and views, and which of them can be moved
SELECT t.TABLE_NAME AS name, t.TABLE_TYPE AS type
  FROM information_schema.TABLES AS t
 WHERE CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:name AS BINARY(256))
   AND NOT (t.TABLE_NAME = 'aishell_definitions'
            AND (CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:kept AS BINARY(256))
                 OR :back AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:place AS BINARY(256))))
 ORDER BY t.TABLE_NAME

-- triggers_shown: the triggers of the session's database, in firing order, without the name of the database
SELECT t.TRIGGER_NAME AS name, t.SQL_MODE AS sql_mode, t.CHARACTER_SET_CLIENT AS charset, t.COLLATION_CONNECTION AS collation,
       CONCAT('CREATE DEFINER=`',
              REPLACE(LEFT(t.DEFINER, CHAR_LENGTH(t.DEFINER) - CHAR_LENGTH(SUBSTRING_INDEX(t.DEFINER, '@', -1)) - 1), '`', '``'), '`@`',
              REPLACE(SUBSTRING_INDEX(t.DEFINER, '@', -1), '`', '``'),
              '` TRIGGER `', REPLACE(t.TRIGGER_NAME, '`', '``'), '` ', t.ACTION_TIMING, ' ', t.EVENT_MANIPULATION,
              ' ON `', REPLACE(t.EVENT_OBJECT_TABLE, '`', '``'), '` FOR EACH ROW ', t.ACTION_STATEMENT) AS statement
  FROM information_schema.TRIGGERS AS t
 WHERE t.TRIGGER_SCHEMA = DATABASE() AND CAST(t.TRIGGER_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
 ORDER BY t.EVENT_OBJECT_TABLE, t.EVENT_MANIPULATION, t.ACTION_TIMING, t.ACTION_ORDER

-- show_procedure: one procedure
SHOW CREATE PROCEDURE {name}

-- show_function: one function
SHOW CREATE FUNCTION {name}

-- show_package: one package
SHOW CREATE PACKAGE {name}

-- show_package_body: the body of one package
SHOW CREATE PACKAGE BODY {name}

-- show_event: one event
SHOW CREATE EVENT {name}

-- drop_view: one view
DROP VIEW IF EXISTS {name}

-- drop_procedure: one procedure
DROP PROCEDURE IF EXISTS {name}

-- drop_function: one function
DROP FUNCTION IF EXISTS {name}

-- oracle: the SQL mode in which statements about packages are understood
SET @aishell_mode = @@SESSION.sql_mode, SESSION sql_mode = 'ORACLE'

-- usual: the previous SQL mode
SET SESSION sql_mode = @aishell_mode

-- drop_package: one package with its body
DROP PACKAGE IF EXISTS {name}

-- drop_event: one event
DROP EVENT IF EXISTS {name}

-- drop_trigger: one trigger
DROP TRIGGER IF EXISTS {name}

-- enable: one event that was enabled when the backup was made
ALTER EVENT {name} ENABLE

-- zone: the time zone of an event's schedule
SET SESSION time_zone = :zone

-- borrowing: the columns whose defaults use a sequence of the restored database
SELECT c.TABLE_NAME AS `table`, c.COLUMN_NAME AS `column`, c.COLUMN_DEFAULT AS `default`
  FROM information_schema.COLUMNS AS c
 WHERE CAST(c.TABLE_SCHEMA AS BINARY(256)) = CAST(:database AS BINARY(256))
   AND INSTR(c.COLUMN_DEFAULT, CONCAT('`', REPLACE(:place, '`', '``'), '`.')) > 0
   AND NOT EXISTS (SELECT 1 FROM information_schema.VIEWS AS v
                    WHERE v.TABLE_NAME = c.TABLE_NAME AND CAST(v.TABLE_SCHEMA AS BINARY(256)) = CAST(:database AS BINARY(256)))

-- lend: use the sequence that was moved with the table
ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT nextval({sequence})

-- removal: the statement by which a person drops the old database; shown and never sent
DROP DATABASE {kept}

-- include: backup_definitions

-- include: backup_login

-- include: backup_place

-- include: backup_prints
