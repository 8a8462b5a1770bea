-- name: load_archive
-- engine: postgresql >= 12
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- archives: load
-- transaction: none
-- lock: ROW EXCLUSIVE
-- locks_too: {referenced: ROW SHARE}
-- max_execution_time: 600
-- privileges: [SELECT, INSERT]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   archive: {type: string, description: id or folder of the archive}
--   part: {type: integer, default: 0, description: 'which file of the archive: 0 is the table itself, the others are the tables whose rows were deleted or changed with it'}
--   columns: {type: columns, description: 'the archive''s columns: {column, type, form}'}
--   more: {type: array, default: [], description: 'numbers of further files with rows of the same table'}
--   within: {type: array, default: [], description: 'foreign keys of the table to itself: {columns, refers_to, nullable}; a row is inserted after the row it references'}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
-- forms: {plain: ':value', text: ':value'}
-- lists: {names: '{column}', row: '{form}', loaded: ':name'}
-- returns:
--   rows_loaded: sum(batches.rows_loaded)
--   rows_left: {from: sum(batches.rows_left), description: rows that already existed}
--   rows_left_out: {from: sum(batches.rows_left_out), description: 'archived rows that were not loaded: the run did not delete them, or they are duplicates in the archive'}
--   rows_in_doubt: {from: sum(batches.rows_in_doubt), description: 'rows that were loaded although it is not known whether the run deleted them'}
--   rows_postponed: {from: sum(batches.rows_postponed), description: rows that reference each other in a circle and were inserted without these references}
--   batches: sum(batches.batches)
--   uncounted_batches: {from: sum(batches.uncounted_batches), description: interruptions after which a chunk may be counted as already present}
-- examples:
--   - params: {schema: public, table: app_log, archive: 20261121T030000Z-1a2b3c4d-archive_app_log,
--       columns: [{column: id, type: bigint, form: plain}]}
--
-- Load the rows of an archive back into a table, one transaction per chunk. Rows whose key already exists are left alone;
-- identity columns get the archived values. If the table has no suitable key, all rows are loaded in one transaction. The
-- archive is checked as it is read. Rows that the archive's run did not delete are left out. If the table references itself, a
-- row is inserted after the row it references; rows that reference each other in a circle are inserted without these
-- references.

-- find: the table; `whole` if it has no key of archived columns by which a row sent twice would be recognized
SELECT n.nspname AS schema, c.relname AS "table", c.oid::text AS oid, 0 AS position,
       NOT EXISTS (SELECT 1 FROM pg_index AS i
                   WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
                     AND NOT EXISTS (SELECT 1 FROM unnest(i.indkey) WITH ORDINALITY AS k (number, place)
                                     JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
                                     WHERE k.place <= i.indnkeyatts
                                       AND (NOT a.attnotnull OR a.attname NOT IN ({loaded})))) AS whole
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table AND c.relkind IN ('r', 'p')

-- same: the table is the one that was approved; reading none of its rows takes a lock that keeps its name for the transaction
SELECT to_regclass(format('%I.%I', CAST(:schema AS text), CAST(:table AS text))) = CAST(CAST(:oid AS text) AS oid)
       AND NOT EXISTS (SELECT 1 FROM {schema}.{table} LIMIT 0) AS same

-- do: insert a chunk's rows
INSERT INTO {schema}.{table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({row}) ON CONFLICT DO NOTHING

-- verify: the table has at least as many rows as the archive
SELECT count(*) >= CAST(:archived_rows AS bigint) AS ok, count(*) AS rows_now
FROM {schema}.{table}
