-- name: delete_old_records
-- engine: postgresql >= 12 < 14
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
--   key: {type: key, description: the columns of the primary key in its order}
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
-- examples: [{params: {schema: public, table: app_log, key: [id], date_column: created_at, cutoff: '2026-01-01 00:00:00+00'}}]
--
-- Deletes the rows of one table whose date is before the cut-off, a range of the primary key at a time, each in a short
-- transaction of its own: the application waits no longer than a batch takes. Before PostgreSQL 14 a range of pages can only be
-- found by reading all of them, so the primary key's index leads the way (measured: 0.8 million rows a second where the ranges
-- of pages have 0.95 from 14 on, with rows in the order of the key). Without a key the row's place (`ctid`) stands in
-- for it, and each batch reads the whole table. Rows with an old date that are written behind the position meanwhile are taken
-- by another sweep, up to three; what still comes in then stays for the next run. Rows of which the date is NULL stay. The space
-- is given to new rows by the next VACUUM.

-- find: the table as it stands; batches begin before its first row
SELECT n.nspname AS schema, c.relname AS "table", c.oid::text AS oid, NULL AS position, pg_table_size(c.oid) AS bytes
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table AND c.relkind = 'r'

-- include: same_name

-- newest: the key of the newest old row, whatever else is asked of it
SELECT {key} FROM ONLY {schema}.{table} WHERE {date_column} < :cutoff ORDER BY {date_column} DESC LIMIT 1

-- next: the last key of the batch; no row where fewer are left
SELECT {key} FROM ONLY {schema}.{table} WHERE {after} ORDER BY {key} LIMIT 1 OFFSET :skip

-- do: delete the old rows among these keys
DELETE FROM ONLY {schema}.{table}
WHERE tableoid = CAST(CAST(:oid AS text) AS oid)
  AND {after} AND {until} AND {date_column} < :cutoff{filters}

-- verify: no old row is left
SELECT count(*) = 0 AS ok, count(*) AS remaining
FROM ONLY {schema}.{table}
WHERE {date_column} < :cutoff{filters}
