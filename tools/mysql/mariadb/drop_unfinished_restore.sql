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
--   mark: {type: string, description: 'what its comment says: which step has begun to fill it'}
-- returns:
--   dropped: {type: integer}
-- examples: [{params: {database: shop_restored, mark: 'aishell restores 1a2b3c4d5e6f70819203a4b5c6d7e8f9:restore'}}]
--
-- Drops a database that a restore of ours was killed over before it was whole. It has a name that a person chose, so the mark is what
-- tells that it is ours: its comment has to say, word for word, which step began to fill it. Look whether anybody has put anything else
-- into it since. One that a session is in is left. It is kept out of the binary log where the account may decide that.

-- include: residue_removal

-- mark: what its comment says
SELECT s.SCHEMA_COMMENT AS mark
  FROM information_schema.SCHEMATA AS s
 WHERE CAST(s.SCHEMA_NAME AS BINARY(256)) = CAST(:database AS BINARY(256))

-- do_drop: drop it
DROP DATABASE IF EXISTS {database}
