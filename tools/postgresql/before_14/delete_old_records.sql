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
-- examples: [{params: {schema: public, table: app_log, key: [id], date_column: created_at, cutoff: '2026-01-01 00:00:00+00'}}]
--
-- Delete the rows of one table older than a cut-off date, in short batches by primary key. Each batch is a transaction of its
-- own, so the application waits no longer than one batch takes. Before PostgreSQL 14 a range of pages cannot be scanned by
-- itself, so the batches follow the primary key's index (measured: 0.8 million rows a second, against 0.95 with page ranges
-- from version 14 on, for rows stored in key order). Without a primary key the row's position (`ctid`) is used instead, and
-- each batch reads the whole table. Old rows inserted behind the current position meanwhile are deleted in another pass, up to
-- three passes; rows that arrive later stay for the next run. Rows whose date is NULL stay. The next VACUUM makes the space
-- available for new rows.

-- find: the table; batches begin before its first row
SELECT n.nspname AS schema, c.relname AS "table", c.oid::text AS oid, NULL AS position, pg_table_size(c.oid) AS bytes
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table AND c.relkind = 'r'

-- include: same_name

-- newest: the key of the newest row before the cut-off, whether or not it matches the filters
SELECT {key} FROM ONLY {schema}.{table} WHERE {date_column} < :cutoff ORDER BY {date_column} DESC LIMIT 1

-- next: the last key of the batch; no row if fewer are left
SELECT {key} FROM ONLY {schema}.{table} WHERE {after} ORDER BY {key} LIMIT 1 OFFSET :skip

-- do: delete the old rows among these keys
DELETE FROM ONLY {schema}.{table}
WHERE tableoid = CAST(CAST(:oid AS text) AS oid)
  AND {after} AND {until} AND {date_column} < :cutoff{filters}

-- verify: no old row is left
SELECT count(*) = 0 AS ok, count(*) AS remaining
FROM ONLY {schema}.{table}
WHERE {date_column} < :cutoff{filters}
