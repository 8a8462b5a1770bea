-- name: drop_replication_slot
-- engine: postgresql >= 12
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: statement
-- lock: none
-- max_execution_time: 60
-- idempotent: true
-- requires_approval: true
-- key: [name]
-- parameters:
--   slot: {type: string, description: 'aishell_ and eight hexadecimal digits'}
-- returns:
--   dropped: count(ok)
--   bytes: sum(find.bytes)
--   failed: rows(failed)
--   skipped: rows(skipped)
-- examples: [{params: {slot: aishell_1a2b3c4d}}]
--
-- Drop a physical replication slot that aishell created for increments of a backup that does not exist (any more). Until then
-- the server retains all WAL since, until its disk is full or max_slot_wal_keep_size is reached. Slots of other names, logical
-- and temporary slots, and slots in use are never dropped. If there is a backup after all whose increments need the slot, a
-- full backup must be made before the next increment. Needs REPLICATION.

-- find: the slot, if it exists
SELECT s.slot_name::text AS name, s.restart_lsn::text AS stands,
       CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint END AS bytes
FROM pg_replication_slots AS s
WHERE s.slot_name = CAST(:slot AS name) AND s.slot_name::text ~ '^aishell_[0-9a-f]{8}$'
  AND s.slot_type = 'physical' AND NOT s.temporary

-- same: it has neither advanced nor been created again
SELECT EXISTS (SELECT 1 FROM pg_replication_slots AS s
               WHERE s.slot_name = CAST(:slot AS name) AND s.restart_lsn::text IS NOT DISTINCT FROM CAST(:stands AS text)) AS same

-- check: no consumer reads from it
SELECT CASE WHEN s.active THEN 'it is in use' END AS reason
FROM pg_replication_slots AS s WHERE s.slot_name = CAST(:slot AS name)

-- do: drop it
SELECT pg_drop_replication_slot(CAST(:slot AS name)) AS dropped

-- verify: the slot is gone, whatever its position was
SELECT NOT EXISTS (SELECT 1 FROM pg_replication_slots AS s
                   WHERE s.slot_name = CAST(:slot AS name)
                     AND s.restart_lsn::text IS NOT DISTINCT FROM CAST(:stands AS text)) AS ok
