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
--   mark: {type: string, description: 'its text: the run and the step that restored the database'}
-- returns:
--   reset: {type: integer}
-- examples: [{params: {database: shop_restored, mark: '1a2b3c4d5e6f70819203a4b5c6d7e8f9:restore'}}]
--
-- Remove the comment "restored by aishell …" from a restored database. By this mark a restore that was killed right after
-- filling the database recognizes it as its own; once the restore is recorded it is no longer needed. The comment is removed
-- only if it is this one, word for word. Schema changes in the database wait for a moment. The change is kept out of the binary
-- log if the account may do that, as creating the database was: on a replica it does not exist.

-- include: residue_removal

-- mark: its comment
SELECT s.SCHEMA_COMMENT AS mark
  FROM information_schema.SCHEMATA AS s
 WHERE CAST(s.SCHEMA_NAME AS BINARY(256)) = CAST(:database AS BINARY(256))

-- do_reset: remove the comment
ALTER DATABASE {database} COMMENT = ''
