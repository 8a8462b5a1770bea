-- name: delete_old_records_without_key
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
-- examples: [{params: {schema: shop, table: app_log, date_column: created_at, cutoff: '2026-01-01 00:00:00'}}]
--
-- Delete the rows of one table older than a cut-off date, in short batches, without a usable primary key. For tables that have
-- no primary key, or one whose values have no order that comparisons follow (ENUM, SET, and TIMESTAMP in a time zone with
-- daylight saving time). Otherwise like delete_old_records. If there is an index on the date the server uses it, since LIMIT
-- makes it prefer any index: 0.10 million rows a second, and fewer if purge lags behind, because each batch begins at the start
-- of the index. Without an index every batch reads the table from its start to the last row that it deletes: just as fast if
-- the old rows were written first, and slower with each batch if rows that stay lie between them. With binlog_format =
-- STATEMENT, replicas may delete other old rows first, as always with LIMIT.

-- include: log_table

-- include: same_table

-- do: delete a batch of the old rows
DELETE FROM {schema}.{table}
 WHERE
       -- include: old_rows
 LIMIT :size

-- verify: no old row is left
SELECT COUNT(*) = 0 AS ok, COUNT(*) AS remaining
  FROM {schema}.{table}
 WHERE
       -- include: old_rows
