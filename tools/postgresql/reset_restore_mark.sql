-- name: reset_restore_mark
-- engine: postgresql >= 12
-- category: maintenance
-- risk: low
-- capabilities: [database_read, database_write]
-- runs: statement
-- lock: none
-- max_execution_time: 60
-- idempotent: true
-- key: [name]
-- parameters:
--   database: {type: identifier}
--   mark: {type: string, description: 'its value: the run and the step that restored the database'}
-- returns:
--   reset: count(ok)
--   failed: rows(failed)
--   skipped: rows(skipped)
-- examples: [{params: {database: shop_restored, mark: '1a2b3c4d5e6f70819203a4b5c6d7e8f9:restore'}}]
--
-- Remove the setting aishell.restored_by from a restored database. By this mark a restore that was killed right after naming
-- the database recognizes it as its own; once the restore is recorded it is no longer needed. No other setting is changed, and
-- the mark is removed only if it is the one named. Blocks no session. Needs ownership of the database.

-- find: the database, if it has this mark
SELECT d.datname::text AS name, d.oid::text AS oid
FROM pg_db_role_setting AS s
JOIN pg_database AS d ON d.oid = s.setdatabase
CROSS JOIN LATERAL unnest(s.setconfig) AS c(setting)
WHERE s.setrole = 0 AND d.datname = CAST(:database AS text)
  AND c.setting = concat('aishell.restored_by=', CAST(:mark AS text))

-- same: the database is the one that was found
SELECT EXISTS (SELECT 1 FROM pg_database AS d
               WHERE d.oid = CAST(CAST(:oid AS text) AS oid) AND d.datname = CAST(:database AS text)) AS same

-- do: remove the mark
ALTER DATABASE {database} RESET aishell.restored_by

-- verify: the database has no mark
SELECT EXISTS (SELECT 1 FROM pg_database AS d WHERE d.oid = CAST(CAST(:oid AS text) AS oid))
       AND NOT EXISTS (SELECT 1 FROM pg_db_role_setting AS s CROSS JOIN LATERAL unnest(s.setconfig) AS c(setting)
                       WHERE s.setdatabase = CAST(CAST(:oid AS text) AS oid) AND s.setrole = 0
                         AND split_part(c.setting, '=', 1) = 'aishell.restored_by') AS ok
