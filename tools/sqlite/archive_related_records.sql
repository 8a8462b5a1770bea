-- name: archive_related_records
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
-- batch: 100
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
--   batch_target_ms: {type: number, editable: true, default: 25, minimum: 1, description: how long a batch may take}
--   max_rows: {type: integer, editable: true, default: null, minimum: 1, description: 'stop after this many rows of the table itself'}
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
--   rows:
--     over: tables
--     each: WHEN {number} THEN (SELECT {pairs} FROM {named} AS t WHERE {here})
--     between: ' '
--   edges:
--     over: edges
--     each: >-
--       SELECT {child_number}, {keys} FROM gone AS g CROSS JOIN {parent} AS p CROSS JOIN {child} AS c
--       WHERE g.part = {parent_number} AND {here} AND {on}
--     between: ' UNION '
--   slots: {over: slots, each: '{slot}'}
--   own: {over: slots, each: '{own}'}
-- returns:
--   archive_path: first(batches.archive_path)
--   archive_id: first(batches.archive_id)
--   rows_archived: {from: sum(batches.rows_archived), description: rows of the table itself}
--   relatives_archived: {from: sum(batches.relatives_archived), description: rows of other tables that are deleted or changed with them}
--   archive_bytes: sum(batches.archive_bytes)
--   batches: sum(batches.batches)
-- examples:
--   - params: {schema: main, table: orders, date_column: created_at, cutoff: '2026-01-01 00:00:00', path: '',
--       columns: [{column: id, type: bigint, form: any}], key: [id],
--       relatives: {tables: [{schema: main, table: items, columns: [{column: id, type: bigint, form: any}], key: [id]}],
--         edges: [{parent: 0, child: 1, pairs: [[order_id, id]]}]}}
--
-- Copy the rows of one table older than a cut-off date into an archive, with all rows of other tables that deleting them would
-- delete or change. Rows reached by ON DELETE CASCADE, over any number of steps, are copied whole; of rows reached by SET NULL
-- or SET DEFAULT, the key and the values that will be lost. Otherwise like archive_old_records: a range of the key at a time,
-- counted and with a checksum.

-- find: the table
SELECT l.schema AS schema, l.name AS "table", NULL AS position, v.schema_version AS made
FROM pragma_table_list AS l, pragma_schema_version AS v
WHERE l.schema = :schema AND l.name = :table AND l.type = 'table'

-- include: same_schema

-- newest: the key of the newest row before the cut-off, whether or not it matches the filters
SELECT {key} FROM {schema}.{table} WHERE {date_column} < :cutoff ORDER BY {date_column} DESC LIMIT 1

-- next: the last key of the batch
SELECT {key} FROM {schema}.{table} WHERE {after} ORDER BY {key} LIMIT 1 OFFSET :skip

-- do: the old rows of this range and all rows deleted or changed with them, one line each
WITH RECURSIVE
-- include: related_rows
SELECT k.part AS part, k.rows AS rows, CASE WHEN length(k.lines) < 67108864 THEN k.lines END AS lines, md5(k.lines) AS checksum
FROM (SELECT part, count(*) AS rows, CAST(group_concat(line, char(10)) AS BLOB) AS lines FROM kept GROUP BY part) AS k

-- verify: the table has no more of these rows than were archived
SELECT 1 AS ok, count(*) AS rows_now
FROM {schema}.{table}
WHERE {until} AND
      -- include: old_rows
