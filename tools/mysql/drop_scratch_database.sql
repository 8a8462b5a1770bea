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
-- Drop a scratch database left by a restore test of aishell that was killed. It is a copy of a backup and no longer needed. A
-- database of another name, or one that a session is connected to, is never dropped. No table of any other database is locked.
-- The DROP is kept out of the binary log if the account may do that, as the CREATE was.

-- include: residue_removal

-- do_drop: drop it
DROP DATABASE IF EXISTS {database}
