-- name: load_archive
-- engine: mariadb >= 10.6
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- archives: load
-- transaction: none
-- lock: MDL SHARED WRITE
-- max_execution_time: 600
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   archive: {type: string, description: id or folder of the archive}
--   columns: {type: columns, description: 'the archive''s columns: {column, type, form}'}
--   sleep: {type: number, default: 0, minimum: 0, description: seconds between two batches}
-- forms:
--   plain: ':value'
--   real: ':value'
--   bits: 'CAST(:value AS UNSIGNED)'
--   hex: 'UNHEX(:value)'
--   text: ':value'
--   utc: ':value'
-- lists: {names: '{column}', row: '{form}', same: '{column} = {column}'}
-- returns:
--   rows_loaded: sum(batches.rows_loaded)
--   rows_left: {from: sum(batches.rows_left), description: rows that were there already}
--   batches: sum(batches.batches)
-- examples:
--   - params: {schema: shop, table: app_log, archive: 20261121T030000Z-1a2b3c4d-archive_app_log,
--       columns: [{column: id, type: bigint, form: plain}]}
--
-- Puts the rows of an archive into a table, a range of it a transaction. Rows whose key is there already stay as they are. The
-- archive is checked as it is read.

-- find: the table
SELECT TABLE_SCHEMA AS `schema`, TABLE_NAME AS `table`, 0 AS position
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = :schema AND TABLE_NAME = :table AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')

-- do: insert a range's rows
SET STATEMENT time_zone = '+00:00' FOR
INSERT INTO {schema}.{table} ({names}) VALUES ({row}) ON DUPLICATE KEY UPDATE {same}

-- verify: the table has at least as many rows as the archive
SELECT COUNT(*) >= :archived_rows AS ok, COUNT(*) AS rows_now
FROM {schema}.{table}
