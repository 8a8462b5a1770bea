-- name: delete_old_records_by_date
-- engine: mysql >= 8, mariadb >= 10.6
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- transaction: none
-- lock: MDL SHARED WRITE
-- locks_too: {referring: MDL SHARED WRITE}
-- max_execution_time: 600
-- privileges: [SELECT, DELETE]
-- idempotent: true
-- batch: 2000
-- deletes: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
--   key: {type: key, description: 'the date column, which an index begins with, and the columns of the primary key'}
--   date_column: {type: identifier, description: the column with the date of a row}
--   cutoff: {type: scalar, description: delete rows whose date is before this}
--   filters: {type: filters, default: [], description: 'further conditions, all of which must hold: {column, operator, value}'}
--   batch_target_ms: {type: number, editable: true, default: 50, minimum: 1, description: how long a batch may take}
--   max_rows: {type: integer, editable: true, default: null, minimum: 1, description: stop after this many rows}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
--   cascades: {type: object, default: {}, description: 'rows of other tables that are deleted or changed with these, by table'}
--   changes: {type: object, default: {}, description: 'of those, the rows that are changed and kept, by table'}
-- returns:
--   rows_deleted: sum(batches.rows_deleted)
--   batches: sum(batches.batches)
--   longest_batch_ms: max(batches.longest_batch_ms)
--   deleting_seconds: {from: sum(batches.seconds), description: 'from the first batch to the last, without the pauses of `sleep`'}
--   uncounted_batches: {from: sum(batches.uncounted_batches), description: interruptions after which a batch may be missing from the count}
--   rows_uncounted: {from: max(batches.rows_uncounted), description: 'upper limit of the rows missing from the count, null if unknown'}
--   remaining: {from: total(batches.remaining), description: old rows that remain; null if the run stopped early}
-- examples:
--   - params: {schema: shop, table: app_log, key: [created_at, id], date_column: created_at, cutoff: '2026-01-01 00:00:00'}
--
-- Delete the rows of one table older than a cut-off date, oldest first, in short batches by the index on the date. For tables
-- in which few rows are old, because the others are not even read. Otherwise like delete_old_records. Each batch begins where
-- the last one ended, not at the start of the index, which is full of deleted rows not yet purged. Measured on 2 million rows:
-- with 2 % of them old 0.2 s, against 1.5 s by primary key; with half of them old as fast as by primary key.

-- include: log_table

-- include: same_table

-- next: the last date and key of the batch; no row if fewer are left
SELECT {key} FROM {schema}.{table} WHERE {after} AND {date_column} < :cutoff ORDER BY {key} LIMIT 1 OFFSET :skip

-- do: delete the old rows among these dates
DELETE FROM {schema}.{table}
 WHERE {after} AND {until} AND
       -- include: old_rows

-- verify: no old row is left
SELECT COUNT(*) = 0 AS ok, COUNT(*) AS remaining
  FROM {schema}.{table}
 WHERE
       -- include: old_rows
