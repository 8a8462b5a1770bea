-- name: archive_old_records
-- engine: sqlite >= 3.37
-- category: database_read
-- risk: low
-- capabilities: [database_read, file_write]
-- runs: batched
-- archives: write
-- transaction: none
-- lock: SHARED
-- max_execution_time: 600
-- idempotent: true
-- batch: 500
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
--   batch_target_ms: {type: number, editable: true, default: 25, minimum: 1, description: how long a batch may take}
--   max_rows: {type: integer, editable: true, default: null, minimum: 1, description: stop after this many rows}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
-- forms:
--   any: >-
--     CASE typeof({column}) WHEN 'blob' THEN json_object('hex', hex({column}))
--     WHEN 'real' THEN CASE WHEN {column} - {column} = 0 THEN json(real_text({column}))
--     ELSE json_object('real', real_text({column})) END
--     ELSE {column} END
-- lists:
--   pairs:
--     each: ':name, {form}'
--     most: 60
--     group: json_object({})
--     between: ' || char(1) || '
--     several: replace({}, '}' || char(1) || '{', ',')
-- returns:
--   archive_path: first(batches.archive_path)
--   archive_id: first(batches.archive_id)
--   rows_archived: sum(batches.rows_archived)
--   archive_bytes: sum(batches.archive_bytes)
--   batches: sum(batches.batches)
-- examples:
--   - params: {schema: main, table: app_log, date_column: created_at, cutoff: '2026-01-01 00:00:00', key: [rowid],
--       columns: [{column: id, type: integer, form: any}]}
--
-- Copy the rows of one table older than a cut-off date into a file of compressed JSON Lines. Works through a range of the key
-- at a time. The database counts the rows of each range and computes a checksum (MD5 of its lines); the file is checked against
-- it, and so are the rows before they are deleted. The deletion takes the archive's ranges one by one, so a range is half as
-- large as a batch of the deletion may be.

-- find: the table
SELECT l.schema AS schema, l.name AS "table", NULL AS position, v.schema_version AS made
FROM pragma_table_list AS l, pragma_schema_version AS v
WHERE l.schema = :schema AND l.name = :table AND l.type = 'table'

-- include: same_schema

-- newest: the key of the newest row before the cut-off, whether or not it matches the filters
SELECT {key} FROM {schema}.{table} WHERE {date_column} < :cutoff ORDER BY {date_column} DESC LIMIT 1

-- next: the last key of the batch
SELECT {key} FROM {schema}.{table} WHERE {after} ORDER BY {key} LIMIT 1 OFFSET :skip

-- do: the old rows of this range, one line each
-- (json_object takes 127 arguments, so a row of more than 60 columns is built from several objects; JSON has no unescaped char(1))
SELECT chunk.rows AS rows, chunk.lines AS lines, md5(chunk.lines) AS checksum, md5(chunk.lines) AS guard
FROM (SELECT count(*) AS rows, CAST(group_concat(r.line, char(10)) AS BLOB) AS lines
      FROM (SELECT {pairs} AS line FROM {schema}.{table}
            WHERE {after} AND {until} AND
                  -- include: old_rows
            ORDER BY {key}) AS r) AS chunk

-- verify: the table has no more of these rows than were archived
SELECT 1 AS ok, count(*) AS rows_now
FROM {schema}.{table}
WHERE {until} AND
      -- include: old_rows
