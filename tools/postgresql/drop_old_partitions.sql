-- name: drop_old_partitions
-- engine: postgresql >= 14
-- category: database_ddl
-- risk: high
-- capabilities: [database_read, schema_modify]
-- runs: each
-- transaction: none
-- lock: SHARE UPDATE EXCLUSIVE
-- locks_too: {partition: ACCESS EXCLUSIVE, referenced: ACCESS EXCLUSIVE}
-- lock_timeout: 60
-- max_execution_time: 900
-- privileges: [OWNERSHIP]
-- idempotent: true
-- deletes: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   date_column: {type: identifier, description: the column with the date of a row}
--   cutoff: {type: scalar, description: partitions that can hold nothing but rows before this go}
-- returns:
--   partitions_dropped: count(ok)
--   rows_dropped: {from: total(check.counted), description: 'as counted right before; null where one of them was not'}
--   rows_counted: {from: list(check.counted), description: 'the same for each of `dropped`; up to a million are counted'}
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   dropped: rows(ok)
--   failed: rows(failed)
--   skipped: rows(skipped)
-- examples: [{params: {schema: public, table: app_log, date_column: created_at, cutoff: '2026-01-01 00:00:00+00'}}]
--
-- Drops the partitions of a table that can hold nothing but rows before the cut-off: each is taken out of the table while reads
-- and writes of the table go on (DETACH … CONCURRENTLY, which waits for the transactions that use the table), looked at once
-- more, and dropped. Once the detach has begun, new queries on the table do not see the partition's rows any more.
-- THE TABLES THAT ITS FOREIGN KEYS REFER TO are locked against everything for the moment of the drop, and so is the partition
-- itself. These locks are waited for a second at a time with pauses in which everybody passes, up to a minute.
-- A detach that is interrupted leaves the partition half detached (pg_inherits.inhdetachpending); the next try, resume or run
-- finishes it (FINALIZE). One that was detached and not dropped is found by a resume of the same run only.
-- Never dropped: the newest partition, the DEFAULT one, one with partitions of its own, and what a foreign key, a trigger for
-- DELETE or a view hangs on. Where there is a DEFAULT partition the server refuses to detach concurrently: then
-- drop_old_partitions_exclusively is for it. Needs ownership of the table and of its partitions.

-- find: the partitions that may go; what is half detached comes first, since no other can be detached before
WITH
-- include: held,
-- include: log_partitions
-- include: partition_columns
FROM part AS p
WHERE p.stays IS NULL AND (p.pending OR p.partdefid = 0)
ORDER BY p.pending DESC, p.at, p.number, p.partition

-- include: same_partition

-- probe: maintenance or a schema change at work on the table or the partition
LOCK TABLE ONLY {schema}.{table}, ONLY {partition_schema}.{partition} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT

-- check: where the partition stands, and whether it holds what its bounds say
-- include: partition_check

-- detach: take the partition out of the table
ALTER TABLE {schema}.{table} DETACH PARTITION {partition_schema}.{partition} CONCURRENTLY

-- finalize: finish an interrupted detach
ALTER TABLE {schema}.{table} DETACH PARTITION {partition_schema}.{partition} FINALIZE

-- do: drop what was detached
DROP TABLE {partition_schema}.{partition}

-- verify: it is gone
SELECT NOT EXISTS (SELECT 1 FROM pg_class AS c WHERE c.oid = CAST(:oid AS oid)) AS ok, 0 AS bytes

-- undo: as long as a partition is only detached, it is attached again; one that was dropped is gone
ALTER TABLE {schema}.{table} ATTACH PARTITION {partition_schema}.{partition} {bound}

-- undone: whether it is a partition as it was
-- include: partition_undone
