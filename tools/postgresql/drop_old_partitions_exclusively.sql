-- name: drop_old_partitions_exclusively
-- engine: postgresql >= 12
-- category: database_ddl
-- risk: high
-- capabilities: [database_read, schema_modify]
-- runs: each
-- transaction: none
-- lock: ACCESS EXCLUSIVE
-- locks_too: {partition: ACCESS EXCLUSIVE, referenced: ACCESS EXCLUSIVE}
-- max_execution_time: 300
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
-- Drop the partitions of a table that can contain only rows older than a cut-off date, where they cannot be detached
-- concurrently. This is the case before version 14, and if there is a DEFAULT partition. The table and its DEFAULT partition
-- are locked against all access for the moment of each detach, and the tables referenced by the partition's foreign keys for
-- the moment of the drop. aishell waits for the locks a second at a time, with pauses that let other sessions through, and soon
-- gives up. A pending concurrent detach is finished. Partitions are kept by the rules of drop_old_partitions. Needs ownership
-- of the table and of its partitions.

-- find: the partitions that may be dropped; one pending detach comes first, since no other can be detached before it
WITH
-- include: held,
-- include: log_partitions
-- include: partition_columns
FROM part AS p
WHERE p.stays IS NULL
ORDER BY p.pending DESC, p.at, p.number, p.partition

-- include: same_partition

-- check: how far the partition is detached, and whether its rows match its bounds
-- include: partition_check

-- detach: take the partition out of the table
ALTER TABLE {schema}.{table} DETACH PARTITION {partition_schema}.{partition}

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
