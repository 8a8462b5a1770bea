-- name: archive_related_records
-- engine: mariadb >= 10.6
-- category: database_read
-- risk: low
-- capabilities: [database_read, file_write]
-- runs: batched
-- archives: write
-- transaction: none
-- lock: MDL SHARED READ
-- locks_too: {referring: MDL SHARED READ}
-- max_execution_time: 600
-- privileges: [SELECT]
-- idempotent: true
-- batch: 50
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   date_column: {type: identifier, description: the column with the date of a row}
--   cutoff: {type: scalar, description: archive rows whose date is before this}
--   filters: {type: filters, default: [], description: 'further conditions, all of which must hold: {column, operator, value}'}
--   columns: {type: columns, description: 'the columns that inspect_archive_columns returns: {column, type, form}'}
--   key: {type: key, description: the columns of the primary key}
--   relatives: {type: relatives, description: 'the tables whose rows are deleted or changed with these, and the foreign keys between them'}
--   indexed: {type: boolean, default: false, description: whether an index begins with the date; batches then end at the newest old row}
--   path: {type: string, default: '', description: subfolder of the archive folder}
--   format: {type: string, default: jsonl, enum: [jsonl, csv, parquet]}
--   batch_target_ms: {type: number, editable: true, default: 50, minimum: 1, description: how long a batch may take}
--   max_rows: {type: integer, editable: true, default: null, minimum: 1, description: 'stop after this many rows of the table itself'}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
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
--   archive_path: first(batches.archive_path)
--   archive_id: first(batches.archive_id)
--   rows_archived: {from: sum(batches.rows_archived), description: rows of the table itself}
--   relatives_archived: {from: sum(batches.relatives_archived), description: rows of other tables that are deleted or changed with them}
--   archive_bytes: sum(batches.archive_bytes)
--   batches: sum(batches.batches)
-- examples:
--   - params: {schema: shop, table: orders, date_column: created_at, cutoff: '2026-01-01 00:00:00', path: '',
--       columns: [{column: id, type: bigint, form: plain}], key: [id],
--       relatives: {tables: [{schema: shop, table: items, columns: [{column: id, type: bigint, form: plain}], key: [id]}],
--         edges: [{parent: 0, child: 1, pairs: [[order_id, id]]}]}}
--
-- Copy the rows of one table older than a cut-off date into an archive, with all rows of other tables that deleting them would
-- delete or change. Rows reached by ON DELETE CASCADE, over any number of steps, are copied whole; of rows reached by SET NULL
-- or SET DEFAULT, the key and the values that will be lost. Otherwise like archive_old_records: a range of the primary key at a
-- time, counted and with checksums by the server.

-- find: the table
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`, t.DATA_LENGTH AS bytes, t.ENGINE AS storage,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created,
       t.CREATE_TIME < NOW(6) - INTERVAL 1100000 MICROSECOND AS settled
FROM information_schema.TABLES AS t
WHERE t.TABLE_SCHEMA = :schema AND t.TABLE_NAME = :table AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')

-- include: same_name

-- newest: the key of the newest row before the cut-off, whether or not it matches the filters
SELECT {key} FROM {schema}.{table} WHERE {date_column} < :cutoff ORDER BY {date_column} DESC LIMIT 1

-- next: the last key of the batch
SELECT {key} FROM {schema}.{table} WHERE {after} ORDER BY {key} LIMIT 1 OFFSET :skip

-- do: the old rows of this range, one line each
-- (MariaDB 10.11 exhausts the machine's memory on a recursive CTE that references itself often, so foreign keys are followed one by one)
SELECT f.*, MD5(f.line) AS sum
FROM (SELECT {own_key}, JSON_OBJECT({pairs}) AS line
      FROM {schema}.{table}
      WHERE {after} AND {until} AND
            -- include: old_rows
     ) AS f

-- follow: the rows of one table that reference given rows of another
SELECT f.*, MD5(f.line) AS sum FROM ({followed}) AS f

-- verify: the table has no more of these rows than were archived
SELECT TRUE AS ok, COUNT(*) AS rows_now
FROM {schema}.{table}
WHERE {until} AND
      -- include: old_rows
