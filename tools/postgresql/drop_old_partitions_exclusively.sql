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
-- Drops the partitions of a table that can hold nothing but rows before the cut-off, where the server cannot detach them while
-- the application goes on: before version 14, and where there is a DEFAULT partition. The table and its DEFAULT partition are
-- locked against everything for the moment that each detach takes, and the tables that foreign keys of the partition refer to for
-- the moment of the drop. The locks are waited for a second at a time with pauses in which everybody passes, and given up soon.
-- What a concurrent detach has left half done is finished. The rules of what stays are those of drop_old_partitions.
-- Needs ownership of the table and of its partitions.

-- find: the partitions that may go; what is half detached comes first, since no other can be detached before
WITH
-- include: held,
-- include: log_partitions
-- include: partition_columns
FROM part AS p
WHERE p.stays IS NULL
ORDER BY p.pending DESC, p.at, p.number, p.partition

-- include: same_partition

-- check: where the partition stands, and whether it holds what its bounds say
-- include: partition_check

-- detach: take the partition out of the table
ALTER TABLE {schema}.{table} DETACH PARTITION {partition_schema}.{partition}

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
