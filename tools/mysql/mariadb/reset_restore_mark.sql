-- name: reset_restore_mark
-- engine: mariadb >= 10.6
-- category: maintenance
-- risk: low
-- capabilities: [database_read, database_write]
-- runs: program
-- implementation: aishell.backups.mariadb.dump:reset_mark
-- lock: MDL SHARED NO WRITE, brief EXCLUSIVE
-- lock_timeout: 5
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   database: {type: identifier}
--   mark: {type: string, description: 'what it says: the run and the step that restored the database'}
-- returns:
--   reset: {type: integer}
-- examples: [{params: {database: shop_restored, mark: '1a2b3c4d5e6f70819203a4b5c6d7e8f9:restore'}}]
--
-- Takes away the comment of a restored database, "restored by aishell …". It tells a restore that was killed right after it had filled
-- the database that this is its own; once the restore is recorded it has no use. Only where the comment is that one, word for word.
-- Schema changes in the database wait for a moment. It is kept out of the binary log where the account may decide that, as
-- the making of the database was: on a replica there is none.

-- include: residue_removal

-- mark: what its comment says
SELECT s.SCHEMA_COMMENT AS mark
  FROM information_schema.SCHEMATA AS s
 WHERE CAST(s.SCHEMA_NAME AS BINARY(256)) = CAST(:database AS BINARY(256))

-- do_reset: take the comment away
ALTER DATABASE {database} COMMENT = ''
