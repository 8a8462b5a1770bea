-- name: drop_scratch_database
-- engine: mysql >= 8, mariadb >= 10.6
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: program
-- implementation: aishell.backups.mariadb.dump:drop_scratch
-- lock: MDL EXCLUSIVE
-- lock_timeout: 5
-- max_execution_time: 600
-- idempotent: true
-- requires_approval: true
-- parameters:
--   database: {type: scratch, description: 'aishell_scratch_ and the beginning of a run''s id'}
-- returns:
--   dropped: {type: integer}
-- examples: [{params: {database: aishell_scratch_1a2b3c4d}}]
--
-- Drops a scratch database that a restore test of ours was killed over: a copy of what a backup holds, which has no use any more. No
-- database of another name is ever dropped, nor one that a session is in. No table of any other database is locked. It is kept out of
-- the binary log where the account may decide that, as the making of it was.

-- include: residue_removal

-- do_drop: drop it
DROP DATABASE IF EXISTS {database}
