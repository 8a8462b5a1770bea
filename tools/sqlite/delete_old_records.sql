-- name: delete_old_records
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
--   key: {type: key, description: 'the name of the row id, or the primary key of a table WITHOUT ROWID'}
--   date_column: {type: identifier, description: the column that tells a row's age}
--   cutoff: {type: scalar, default: null, description: rows whose date is before this go}
--   retention_days: {type: integer, default: null, minimum: 1, maximum: 36525, description: 'instead of cutoff, which a plan is given for it'}
--   indexed: {type: boolean, default: false, description: whether an index begins with the date; the walk ends where its newest old row is}
--   filters: {type: filters, default: [], description: 'further conditions, all of them: {column, operator, value}'}
--   batch_target_ms: {type: number, editable: true, default: 50, minimum: 1, description: how long a batch may take}
--   max_rows: {type: integer, editable: true, default: null, minimum: 1, description: no more than these}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
--   cascades: {type: object, default: {}, description: 'rows of other tables that go or change with the deleted ones, by table'}
--   changes: {type: object, default: {}, description: 'of these, rows that stay and are changed, by table'}
-- returns:
--   rows_deleted: sum(batches.rows_deleted)
--   batches: sum(batches.batches)
--   longest_batch_ms: max(batches.longest_batch_ms)
--   deleting_seconds: {from: sum(batches.seconds), description: 'from the first batch to the last, without the pauses that were asked for'}
--   uncounted_batches: {from: sum(batches.uncounted_batches), description: interruptions after which a batch may not be counted}
--   rows_uncounted: {from: max(batches.rows_uncounted), description: 'rows that these may have taken at most, null where nobody knows'}
--   remaining: {from: total(batches.remaining), description: old rows that are there still; null where it was cut off}
-- examples: [{params: {schema: main, table: app_log, key: [rowid], date_column: created_at, cutoff: '2026-01-01 00:00:00'}}]
--
-- Deletes the rows of one table whose date is before the cut-off, a range of the row ids at a time, each in a short transaction
-- of its own: other writers wait no longer than a batch takes. A table lies in the order of its row ids, so every page is read
-- once, and no index on the date is needed. Measured on 2 million rows of which the half was old: 0.4 to 0.8 million rows a
-- second, no slower than one single DELETE, with a write-ahead log or without. Rows with an old date that are written behind the
-- position meanwhile are taken by another sweep, up to three; what still comes in then stays for the next run. Rows whose date
-- is NULL stay, and those whose date is a number where the cut-off is a text. The free pages are for new rows of the file;
-- incremental_vacuum or optimize_table gives them back to the disk.

-- include: log_table

-- include: same_schema

-- newest: the key of the newest old row, whatever else is asked of it
SELECT {key} FROM {schema}.{table} WHERE {date_column} < :cutoff ORDER BY {date_column} DESC LIMIT 1

-- next: the last key of the batch; no row where fewer are left
SELECT {key} FROM {schema}.{table} WHERE {after} ORDER BY {key} LIMIT 1 OFFSET :skip

-- do: delete the old rows among these keys
DELETE FROM {schema}.{table}
 WHERE (SELECT schema_version FROM pragma_schema_version) = :made AND {after} AND {until} AND
       -- include: old_rows

-- verify: no old row is left
SELECT count(*) = 0 AS ok, count(*) AS remaining
  FROM {schema}.{table}
 WHERE
       -- include: old_rows
