-- name: delete_old_records
-- engine: postgresql >= 14
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
-- batch: 20
-- deletes: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
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
-- examples: [{params: {schema: public, table: app_log, date_column: created_at, cutoff: '2026-01-01 00:00:00+00'}}]
--
-- Delete the rows of one table older than a cut-off date, in short batches by page range. Each batch is a transaction of its
-- own, so the application waits no longer than one batch takes. Every page is read once, from the first to the last that the
-- table had at the start, so no index on the date is needed and random I/O is avoided. If there is such an index, the batches
-- end after the newest old row that it knows; the rest of the table is read if old rows are found left (measured: 1.1 to 1.2
-- times the rows per second of a single DELETE; 0.8 times when reading to the end of a table of which half is old). Old rows
-- inserted behind the current position meanwhile are deleted in another pass, up to three passes; rows that arrive later stay
-- for the next run. Rows whose date is NULL stay. The next VACUUM makes the space available for new rows.

-- find: the number of pages of the table
SELECT n.nspname AS schema, c.relname AS "table", c.oid::text AS oid, 0 AS position,
       pg_relation_size(c.oid) / current_setting('block_size')::bigint AS finish,
       pg_table_size(c.oid) AS bytes,
       CASE WHEN c.relpages > 0 AND c.reltuples > 0 THEN (c.reltuples / c.relpages)::float8 ELSE 50 END AS rows_per_unit
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table AND c.relkind = 'r'

-- include: same_name

-- newest: the page after the newest row before the cut-off, whether or not it matches the filters
SELECT CAST((CAST(CAST(ctid AS text) AS point))[0] AS bigint) + 1 AS upto
FROM ONLY {schema}.{table} WHERE {date_column} < :cutoff ORDER BY {date_column} DESC LIMIT 1

-- next: the page after the batch
SELECT least(CAST(:position AS bigint) + CAST(:size AS bigint), CAST(:finish AS bigint)) AS upto
WHERE CAST(:position AS bigint) < CAST(:finish AS bigint)

-- do: delete the old rows of these pages, at most `most` unless it is NULL
-- (if it is, the planner drops the second half and the pages are read once)
DELETE FROM ONLY {schema}.{table}
WHERE tableoid = CAST(CAST(:oid AS text) AS oid)
  AND ctid >= CAST('(' || CAST(:position AS bigint) || ',0)' AS tid) AND ctid < CAST('(' || CAST(:upto AS bigint) || ',0)' AS tid)
  AND {date_column} < :cutoff{filters}
  AND (CAST(:most AS bigint) IS NULL
       OR ctid = ANY (ARRAY(
            SELECT ctid FROM ONLY {schema}.{table}
            WHERE tableoid = CAST(CAST(:oid AS text) AS oid)
              AND ctid >= CAST('(' || CAST(:position AS bigint) || ',0)' AS tid)
              AND ctid < CAST('(' || CAST(:upto AS bigint) || ',0)' AS tid)
              AND {date_column} < :cutoff{filters}
            LIMIT CAST(:most AS bigint))))

-- verify: no old row is left on these pages
SELECT count(*) = 0 AS ok, count(*) AS remaining
FROM ONLY {schema}.{table}
WHERE ctid < CAST('(' || CAST(:finish AS bigint) || ',0)' AS tid) AND {date_column} < :cutoff{filters}
