-- name: delete_old_records
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
--   key: {type: key, description: the columns of the primary key in order}
--   date_column: {type: identifier, description: the column with the date of a row}
--   cutoff: {type: scalar, default: null, description: delete rows whose date is before this}
--   retention_days: {type: integer, default: null, minimum: 1, maximum: 36525, description: 'instead of cutoff; a plan replaces it by the date'}
--   indexed: {type: boolean, default: false, description: whether an index begins with the date; batches then end at the newest old row}
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
-- examples: [{params: {schema: shop, table: app_log, key: [id], date_column: created_at, cutoff: '2026-01-01 00:00:00'}}]
--
-- Delete the rows of one table older than a cut-off date, in short batches by primary key. Each batch is a transaction of its
-- own, so the application waits no longer than one batch takes, and only for the rows being deleted (the session is READ
-- COMMITTED if the binary log allows it, so that inserts between them do not wait). InnoDB stores a table in primary key order,
-- so every page is read once and no index on the date is needed; if there is one, the batches end at the newest old row that it
-- knows, and continue if old rows are found left. Measured on 2 million rows, half of them old: 0.18 to 0.26 million rows a
-- second (a single DELETE: 0.3), against 0.10 for DELETE … LIMIT, which skips the deleted and not yet purged rows again and
-- again. Old rows inserted behind the current position meanwhile are deleted in another pass, up to three passes; rows that
-- arrive later stay for the next run. Rows whose date is NULL or a zero date (0000-00-00) stay. The table reuses the space once
-- InnoDB has purged the deleted rows; optimize_table returns it to the disk. On MyISAM and Aria each batch locks the whole
-- table. Needs SELECT and DELETE on the table.

-- include: log_table

-- include: same_table

-- newest: the key of the newest row before the cut-off, whether or not it matches the filters
SELECT {key} FROM {schema}.{table} WHERE {date_column} < :cutoff ORDER BY {date_column} DESC LIMIT 1

-- next: the last key of the batch; no row if fewer are left
SELECT {key} FROM {schema}.{table} WHERE {after} ORDER BY {key} LIMIT 1 OFFSET :skip

-- do: delete the old rows among these keys
DELETE FROM {schema}.{table}
 WHERE {after} AND {until} AND
       -- include: old_rows

-- verify: no old row is left
SELECT COUNT(*) = 0 AS ok, COUNT(*) AS remaining
  FROM {schema}.{table}
 WHERE
       -- include: old_rows
