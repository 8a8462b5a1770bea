-- name: archive_old_records
-- engine: mariadb >= 10.6
-- category: database_read
-- risk: low
-- capabilities: [database_read, file_write]
-- runs: batched
-- archives: write
-- transaction: none
-- lock: MDL SHARED READ
-- max_execution_time: 600
-- privileges: [SELECT]
-- idempotent: true
-- batch: 200
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   date_column: {type: identifier, description: the column with the date of a row}
--   cutoff: {type: scalar, description: archive rows whose date is before this}
--   filters: {type: filters, default: [], description: 'further conditions, all of which must hold: {column, operator, value}'}
--   columns: {type: columns, description: 'the columns that inspect_archive_columns returns: {column, type, form}'}
--   key: {type: key, description: the columns of the primary key}
--   indexed: {type: boolean, default: false, description: whether an index begins with the date; batches then end at the newest old row}
--   path: {type: string, default: '', description: subfolder of the archive folder}
--   format: {type: string, default: jsonl, enum: [jsonl, csv, parquet]}
--   batch_target_ms: {type: number, editable: true, default: 50, minimum: 1, description: how long a batch may take}
--   max_rows: {type: integer, editable: true, default: null, minimum: 1, description: stop after this many rows}
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
--   nulls: 'ISNULL({column})'
--   guarded: '{form}'
-- returns:
--   archive_path: first(batches.archive_path)
--   archive_id: first(batches.archive_id)
--   rows_archived: sum(batches.rows_archived)
--   archive_bytes: sum(batches.archive_bytes)
--   batches: sum(batches.batches)
-- examples:
--   - params: {schema: shop, table: app_log, date_column: created_at, cutoff: '2026-01-01 00:00:00', key: [id],
--       columns: [{column: id, type: bigint, form: plain}]}
--
-- Copy the rows of one table older than a cut-off date into a file of compressed JSON Lines. Works through a range of the
-- primary key at a time. The server counts the rows of each range and computes two checksums: one of the lines, against which
-- the file is checked, and one of the values, against which the rows are checked again before they are deleted. TIMESTAMP
-- values are written in UTC. The deletion takes the archive's ranges one by one, each in about the time that archiving it took.

-- find: the table
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`, t.DATA_LENGTH AS bytes,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created, t.CREATE_TIME < NOW(6) - INTERVAL 1100000 MICROSECOND AS settled
FROM information_schema.TABLES AS t
WHERE t.TABLE_SCHEMA = :schema AND t.TABLE_NAME = :table AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')

-- include: same_name

-- newest: the key of the newest row before the cut-off, whether or not it matches the filters
SELECT {key} FROM {schema}.{table} WHERE {date_column} < :cutoff ORDER BY {date_column} DESC LIMIT 1

-- next: the last key of the batch
SELECT {key} FROM {schema}.{table} WHERE {after} ORDER BY {key} LIMIT 1 OFFSET :skip

-- do: the old rows of this range, a line each
SET STATEMENT group_concat_max_len = 16777216 FOR
SELECT chunk.rows AS `rows`, IF(LENGTH(chunk.lines) < 16777216, chunk.lines, NULL) AS `lines`, MD5(chunk.lines) AS checksum,
       chunk.guard AS guard
FROM (SELECT COUNT(*) AS `rows`, GROUP_CONCAT(JSON_OBJECT({pairs}) SEPARATOR x'0A') AS `lines`,
             SUM(CRC32(CONCAT_WS('#', {nulls}, {guarded}))) AS guard
      FROM {schema}.{table}
      WHERE {after} AND {until} AND
            -- include: old_rows
     ) AS chunk

-- verify: the table has no more of these rows than were archived
SELECT TRUE AS ok, COUNT(*) AS rows_now
FROM {schema}.{table}
WHERE {until} AND
      -- include: old_rows
