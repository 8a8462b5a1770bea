-- name: delete_related_records
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
--   filters: {type: filters, default: [], description: 'further conditions, all of which must hold: {column, operator, value}'}
--   columns: {type: columns, description: 'the archive''s columns: {column, type, form}'}
--   key: {type: key, description: the columns of the primary key}
--   relatives: {type: relatives, description: 'the tables whose rows are deleted or changed with these, and the foreign keys between them'}
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
--   pairs: ':name, {form}'
--   own_key: {over: key, each: '{column} AS {slot}'}
--   followed:
--     over: edge
--     each: >-
--       SELECT STRAIGHT_JOIN {child_keys}, (SELECT JSON_OBJECT({pairs}) FROM {child} AS t WHERE {itself}) AS line
--       FROM {parent} AS p JOIN {child} AS c ON {on} WHERE {among}
-- returns:
--   rows_deleted: {from: sum(batches.rows_deleted), description: rows of the table itself}
--   rows_cascaded: {from: sum(batches.rows_cascaded), description: 'of those, rows that were deleted only because the row they reference was'}
--   relatives_deleted: {from: sum(batches.relatives_deleted), description: rows of other tables that were deleted with them}
--   relatives_changed: {from: sum(batches.relatives_changed), description: 'rows of other tables that were changed because they referenced deleted rows'}
--   batches: sum(batches.batches)
--   longest_batch_ms: max(batches.longest_batch_ms)
--   uncounted_batches: {from: sum(batches.uncounted_batches), description: interruptions after which a batch may be missing from the count}
--   rows_uncounted: {from: max(batches.rows_uncounted), description: 'upper limit of the rows missing from the count, null if unknown'}
--   rows_left: {from: sum(batches.rows_left), description: archived rows that stay}
--   remaining: {from: total(batches.remaining), description: old rows that remain; null if the run stopped early}
-- examples:
--   - params: {schema: shop, table: orders, date_column: created_at, cutoff: '2026-01-01 00:00:00', archive: /var/a,
--       columns: [{column: id, type: bigint, form: plain}], key: [id],
--       relatives: {tables: [{schema: shop, table: items, columns: [{column: id, type: bigint, form: plain}], key: [id]}],
--         edges: [{parent: 0, child: 1, pairs: [[order_id, id]]}]}}
--
-- Delete the rows that an archive contains, a chunk at a time, and let foreign keys delete or change the related rows that it
-- also contains. In the transaction of a chunk, every row that the deletion would reach is first looked up and compared with
-- the archive, except for values that this deletion itself has set to NULL. If a row has been added or changed since, the chunk
-- is kept whole for the next run. The transaction is SERIALIZABLE: a session that wants to add or change one of these rows
-- waits until the batch is done.

-- find: the table
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`, t.DATA_LENGTH AS bytes, t.ENGINE AS storage,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created,
       t.CREATE_TIME < NOW(6) - INTERVAL 1100000 MICROSECOND AS settled,
-- include: references_changed
FROM information_schema.TABLES AS t
WHERE t.TABLE_SCHEMA = :schema AND t.TABLE_NAME = :table AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')

-- include: same_table

-- guard: the rows of this range, locked
SELECT f.*, MD5(f.line) AS sum
FROM (SELECT {own_key}, JSON_OBJECT({pairs}) AS line
      FROM {schema}.{table}
      WHERE {after} AND {until} AND
            -- include: old_rows
     ) AS f

-- follow: the rows of one table that reference given rows of another
SELECT f.*, MD5(f.line) AS sum FROM ({followed}) AS f

-- do: delete the archived rows of this range
DELETE FROM {schema}.{table}
WHERE {after} AND {until} AND
      -- include: old_rows

-- verify: no archived row is left
SELECT COUNT(*) = 0 AS ok, COUNT(*) AS remaining
FROM {schema}.{table}
WHERE {until} AND
      -- include: old_rows
