-- name: drop_unfinished_restore
-- engine: mariadb >= 10.6
-- category: restore
-- risk: critical
-- capabilities: [database_read, database_write, backup_restore]
-- runs: program
-- implementation: aishell.backups.mariadb.dump:drop_unfinished
-- lock: MDL EXCLUSIVE
-- lock_timeout: 5
-- max_execution_time: 600
-- idempotent: true
-- requires_approval: true
-- parameters:
--   database: {type: identifier}
--   mark: {type: string, description: 'its comment: the step that began to fill it'}
-- returns:
--   dropped: {type: integer}
-- examples: [{params: {database: shop_restored, mark: 'aishell restores 1a2b3c4d5e6f70819203a4b5c6d7e8f9:restore'}}]
--
-- Drop a database left unfinished by a restore of aishell that was killed. A person chose its name, so only its mark shows that
-- aishell created it: its comment must name, word for word, the step that began to fill it. Check first that no one has put
-- anything else into it since. A database that a session is connected to is kept. The DROP is kept out of the binary log if the
-- account may do that.

-- include: residue_removal

-- mark: its comment
SELECT s.SCHEMA_COMMENT AS mark
  FROM information_schema.SCHEMATA AS s
 WHERE CAST(s.SCHEMA_NAME AS BINARY(256)) = CAST(:database AS BINARY(256))

-- do_drop: drop it
DROP DATABASE IF EXISTS {database}
