-- name: delete_old_records_by_date
-- engine: postgresql >= 13
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- transaction: none
-- lock: ROW EXCLUSIVE
-- locks_too: {referring: ROW EXCLUSIVE}
-- max_execution_time: 600
-- privileges: [SELECT, DELETE]
-- idempotent: true
-- batch: 1000
-- deletes: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   key: {type: key, description: 'the date column, which an index begins with, and ctid'}
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
--   - params: {schema: public, table: app_log, key: [created_at, ctid], date_column: created_at, cutoff: '2026-01-01 00:00:00+00'}
--
-- Delete the rows of one table older than a cut-off date, oldest first, in short batches by the index on the date. Each batch
-- is a transaction of its own. For tables in which few rows are old, because the others are not even read. Measured on 2
-- million rows, 2 % of them old: 0.07 s where these were adjacent and 0.41 s where they were spread over all pages, against
-- 0.26 and 0.78 s page by page. Each batch begins where the last one ended (rows of one date by their position, `ctid`), not at
-- the start of the index, which is full of deleted rows until the next VACUUM. Before version 13 the server would sort all old
-- rows for each batch. Old rows inserted behind the current position meanwhile are deleted in another pass, up to three passes;
-- rows that arrive later stay for the next run. Rows whose date is NULL stay. The next VACUUM makes the space available for new
-- rows.

-- find: the table; batches begin before its first row
SELECT n.nspname AS schema, c.relname AS "table", c.oid::text AS oid, NULL AS position, pg_table_size(c.oid) AS bytes
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table AND c.relkind = 'r'

-- include: same_name

-- next: the last date and position of the batch; no row if fewer are left
SELECT {key} FROM ONLY {schema}.{table} WHERE {after} AND {date_column} < :cutoff ORDER BY {key} LIMIT 1 OFFSET :skip

-- do: delete the old rows among these dates
DELETE FROM ONLY {schema}.{table}
WHERE tableoid = CAST(CAST(:oid AS text) AS oid)
  AND {after} AND {until} AND {date_column} < :cutoff{filters}

-- verify: no old row is left
SELECT count(*) = 0 AS ok, count(*) AS remaining
FROM ONLY {schema}.{table}
WHERE {date_column} < :cutoff{filters}
