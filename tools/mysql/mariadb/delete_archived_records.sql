-- name: delete_archived_records
-- engine: mariadb >= 10.6
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- archives: delete
-- transaction: none
-- lock: MDL SHARED WRITE
-- locks_too: {referring: MDL SHARED WRITE}
-- max_execution_time: 600
-- privileges: [SELECT, DELETE]
-- idempotent: true
-- deletes: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   date_column: {type: identifier, description: the column with the date of a row}
--   cutoff: {type: scalar, description: 'the cut-off date of the archive'}
--   filters: {type: filters, default: [], description: 'the further conditions of the archive'}
--   columns: {type: columns, description: 'the archive''s columns: {column, type, form}'}
--   key: {type: key, description: the columns of the primary key}
--   archive: {type: string, description: the archive that contains the rows}
--   watched: {type: identifier_list, default: [], description: 'the tables whose rows are deleted, as {schema, table}'}
--   acting: {type: integer, default: 0, minimum: 0, description: number of foreign keys referencing them that act on a delete}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
--   cascades: {type: object, default: {}, description: 'rows of other tables that are deleted or changed with these, by table'}
--   changes: {type: object, default: {}, description: 'of those, the rows that are changed and kept, by table'}
-- forms:
--   plain: '{column}'
--   real: '{column} + 0e0'
--   bits: '{column} + 0'
--   hex: 'HEX({column})'
--   text: 'CAST({column} AS CHAR)'
--   utc: >-
--     IF({column} = 0, '0000-00-00 00:00:00', TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP({column}) SECOND)
-- lists:
--   nulls: 'ISNULL({column})'
--   guarded: '{form}'
-- returns:
--   rows_deleted: sum(batches.rows_deleted)
--   batches: sum(batches.batches)
--   longest_batch_ms: max(batches.longest_batch_ms)
--   uncounted_batches: {from: sum(batches.uncounted_batches), description: interruptions after which a batch may be missing from the count}
--   rows_uncounted: {from: max(batches.rows_uncounted), description: 'upper limit of the rows missing from the count, null if unknown'}
--   rows_left: {from: sum(batches.rows_left), description: archived rows that stay}
--   remaining: {from: total(batches.remaining), description: old rows that remain; null if the run stopped early}
-- undo:
--   tool: load_archive
--   how: the archived rows are loaded again
--   when: '${output.rows_left} == 0'
--   params: {schema: '${params.schema}', table: '${params.table}', archive: '${params.archive}', columns: '${params.columns}'}
-- examples:
--   - params: {schema: shop, table: app_log, date_column: created_at, cutoff: '2026-01-01 00:00:00', archive: /var/a, key: [id],
--       columns: [{column: id, type: bigint, form: plain}]}
--
-- Delete the rows that an archive contains, a range at a time. Each range is read back from the archive and checked; its rows
-- are then locked, counted and their checksum computed again, and deleted if nothing has changed. A range in which a row has
-- since been inserted, changed or deleted is kept whole for the next run.

-- find: the table
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`, t.DATA_LENGTH AS bytes, t.ENGINE AS storage,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created,
       t.CREATE_TIME < NOW(6) - INTERVAL 1100000 MICROSECOND AS settled,
-- include: references_changed
FROM information_schema.TABLES AS t
WHERE t.TABLE_SCHEMA = :schema AND t.TABLE_NAME = :table AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')

-- include: same_table

-- guard: the rows of this range, locked
SELECT COUNT(*) AS `rows`, SUM(CRC32(CONCAT_WS('#', {nulls}, {guarded}))) AS guard
FROM {schema}.{table}
WHERE {after} AND {until} AND
      -- include: old_rows
FOR UPDATE

-- do: delete the archived rows of this range
DELETE FROM {schema}.{table}
WHERE {after} AND {until} AND
      -- include: old_rows

-- verify: no archived row is left
SELECT COUNT(*) = 0 AS ok, COUNT(*) AS remaining
FROM {schema}.{table}
WHERE {until} AND
      -- include: old_rows
