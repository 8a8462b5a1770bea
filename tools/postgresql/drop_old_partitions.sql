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
--   cutoff: {type: scalar, description: drop partitions that can contain only rows before this}
-- returns:
--   partitions_dropped: count(ok)
--   rows_dropped: {from: total(check.counted), description: 'as counted right before; null if one partition was not counted'}
--   rows_counted: {from: list(check.counted), description: 'the count for each of `dropped`, at most a million'}
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   dropped: rows(ok)
--   failed: rows(failed)
--   skipped: rows(skipped)
-- examples: [{params: {schema: public, table: app_log, date_column: created_at, cutoff: '2026-01-01 00:00:00+00'}}]
--
-- Drop the partitions of a table that can contain only rows older than a cut-off date. Each partition is detached while the
-- table stays readable and writable (DETACH … CONCURRENTLY, which waits for transactions that use the table), checked once
-- more, and dropped. Once detaching has begun, new queries on the table no longer see the partition's rows. THE TABLES
-- REFERENCED BY ITS FOREIGN KEYS are locked against all access for the moment of the drop, and so is the partition itself.
-- aishell waits for these locks a second at a time, with pauses that let other sessions through, for up to a minute. An
-- interrupted detach leaves the partition pending (pg_inherits.inhdetachpending); the next attempt, resume or run finishes it
-- (FINALIZE). A partition that was detached and not dropped is found only by resuming the same run. Never dropped: the newest
-- partition, the DEFAULT partition, a partition with partitions of its own, and any with a foreign key, a trigger for DELETE or
-- a view that depends on it. If there is a DEFAULT partition, the server refuses to detach concurrently: use
-- drop_old_partitions_exclusively. Needs ownership of the table and of its partitions.

-- find: the partitions that may be dropped; one pending detach comes first, since no other can be detached before it
WITH
-- include: held,
-- include: log_partitions
-- include: partition_columns
FROM part AS p
WHERE p.stays IS NULL AND (p.pending OR p.partdefid = 0)
ORDER BY p.pending DESC, p.at, p.number, p.partition

-- include: same_partition

-- probe: defer if maintenance or a schema change is running on the table or the partition
LOCK TABLE ONLY {schema}.{table}, ONLY {partition_schema}.{partition} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT

-- check: how far the partition is detached, and whether its rows match its bounds
-- include: partition_check

-- detach: take the partition out of the table
ALTER TABLE {schema}.{table} DETACH PARTITION {partition_schema}.{partition} CONCURRENTLY

-- finalize: finish an interrupted detach
ALTER TABLE {schema}.{table} DETACH PARTITION {partition_schema}.{partition} FINALIZE

-- do: drop the detached partition
DROP TABLE {partition_schema}.{partition}

-- verify: the partition is gone
SELECT NOT EXISTS (SELECT 1 FROM pg_class AS c WHERE c.oid = CAST(:oid AS oid)) AS ok, 0 AS bytes

-- undo: a partition that is only detached is attached again; a dropped one cannot be restored
ALTER TABLE {schema}.{table} ATTACH PARTITION {partition_schema}.{partition} {bound}

-- undone: whether it is a partition again
-- include: partition_undone
