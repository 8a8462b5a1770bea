-- name: drop_scratch_database
-- engine: postgresql >= 12
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: statement
-- lock: ACCESS EXCLUSIVE
-- lock_timeout: 5
-- max_execution_time: 600
-- idempotent: true
-- requires_approval: true
-- key: [name]
-- parameters:
--   database: {type: scratch, description: 'aishell_scratch_ and the beginning of a run''s id'}
-- returns:
--   dropped: count(ok)
--   bytes: sum(find.bytes)
--   failed: rows(failed)
--   skipped: rows(skipped)
-- examples: [{params: {database: aishell_scratch_1a2b3c4d}}]
--
-- Drop a scratch database left by a restore or restore test of aishell that was killed. It is a copy of a backup and no longer
-- needed. A database of another name is never dropped. One that a session is connected to is kept, and the server would refuse
-- to drop it anyway. No table of any other database is locked. Needs ownership of the scratch database, which a restore gives
-- to the owner of the original.

-- find: the database, if it exists
SELECT d.datname::text AS name, d.oid::text AS oid,
       CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) END AS bytes
FROM pg_database AS d WHERE d.datname = CAST(:database AS text)

-- same: the database is the one that was approved
SELECT EXISTS (SELECT 1 FROM pg_database AS d
               WHERE d.oid = CAST(CAST(:oid AS text) AS oid) AND d.datname = CAST(:database AS text)) AS same

-- check: no session is connected to it
SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_stat_activity AS a
                         WHERE a.datid = d.oid AND coalesce(a.backend_type, 'client backend') = 'client backend')
              THEN 'a session is connected to it' END AS reason
FROM pg_database AS d WHERE d.datname = CAST(:database AS text)

-- do: drop it
DROP DATABASE IF EXISTS {database}

-- verify: the database is gone
SELECT NOT EXISTS (SELECT 1 FROM pg_database AS d WHERE d.oid = CAST(CAST(:oid AS text) AS oid)) AS ok
