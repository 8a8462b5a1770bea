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
--   date_column: {type: identifier, description: the column that tells a row's age}
--   cutoff: {type: scalar, description: rows whose date is before this go into the archive}
--   filters: {type: filters, default: [], description: 'further conditions, all of them: {column, operator, value}'}
--   columns: {type: columns, description: 'what inspect_archive_columns says: {column, type, form}'}
--   key: {type: key, description: the columns of the primary key}
--   indexed: {type: boolean, default: false, description: whether an index begins with the date; the walk ends where its newest old row is}
--   path: {type: string, default: '', description: where in the folder of archives}
--   format: {type: string, default: jsonl, enum: [jsonl, csv, parquet]}
--   batch_target_ms: {type: number, editable: true, default: 25, minimum: 1, description: how long a batch may take}
--   max_rows: {type: integer, editable: true, default: null, minimum: 1, description: no more than these}
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
-- Copies the rows of one table whose date is before the cut-off into a file of compressed JSON Lines, a range of the key at a
-- time, and has each range counted and summed up (MD5 of its lines): against that sum the file is checked, and the rows once more
-- before they are deleted. The deletion takes the ranges of the archive one by one, so they are half as long as its batches may
-- be.

-- find: the table
SELECT l.schema AS schema, l.name AS "table", NULL AS position, v.schema_version AS made
FROM pragma_table_list AS l, pragma_schema_version AS v
WHERE l.schema = :schema AND l.name = :table AND l.type = 'table'

-- include: same_schema

-- newest: the key of the newest old row, whatever else is asked of it
SELECT {key} FROM {schema}.{table} WHERE {date_column} < :cutoff ORDER BY {date_column} DESC LIMIT 1

-- next: the last key of the batch
SELECT {key} FROM {schema}.{table} WHERE {after} ORDER BY {key} LIMIT 1 OFFSET :skip

-- do: the old rows of this range, a line each
-- (json_object takes 127 arguments, so a row of more than 60 columns is made of several; no char(1) stands in JSON unescaped)
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
