-- name: delete_old_records_by_date
-- engine: sqlite >= 3.35
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- transaction: none
-- lock: RESERVED
-- max_execution_time: 600
-- privileges: [WRITE]
-- idempotent: true
-- batch: 2000
-- deletes: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   key: {type: key, description: 'the date column, which an index begins with, and the row id or the primary key'}
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
--   - params: {schema: main, table: app_log, key: [created_at, rowid], date_column: created_at, cutoff: '2026-01-01 00:00:00'}
--
-- Delete the rows of one table older than a cut-off date, oldest first, in short batches by the index on the date. For tables
-- in which few rows are old, because the others are not even read, and for tables stored in date order (with the date alone as
-- the key: comparing rows of two columns takes a third longer). Otherwise like delete_old_records. Measured on 2 million rows,
-- 2 % of them old: 0.09 s where these were adjacent and 1.0 s where they were spread over all pages, against 0.5 and 1.1 s by
-- rowid.

-- include: log_table

-- include: same_schema

-- next: the last date and key of the batch; no row where fewer are left
SELECT {key} FROM {schema}.{table} WHERE {after} AND {date_column} < :cutoff ORDER BY {key} LIMIT 1 OFFSET :skip

-- do: delete the old rows among these dates
DELETE FROM {schema}.{table}
 WHERE (SELECT schema_version FROM pragma_schema_version) = :made AND {after} AND {until} AND
       -- include: old_rows

-- verify: no old row is left
SELECT count(*) = 0 AS ok, count(*) AS remaining
  FROM {schema}.{table}
 WHERE
       -- include: old_rows
