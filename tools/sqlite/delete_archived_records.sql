-- name: delete_archived_records
-- engine: sqlite >= 3.37
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- archives: delete
-- transaction: none
-- lock: RESERVED
-- max_execution_time: 600
-- privileges: [WRITE]
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
--   - params: {schema: main, table: app_log, date_column: created_at, cutoff: '2026-01-01 00:00:00', archive: /var/a, key: [rowid],
--       columns: [{column: id, type: integer, form: any}]}
--
-- Delete the rows that an archive contains, a range at a time. Each range is read back from the archive and checked; its rows
-- are then counted and their checksum computed again in the deleting transaction, and deleted if nothing has changed. A range
-- in which a row has since been inserted, changed or deleted is kept whole for the next run.

-- find: the table
SELECT l.schema AS schema, l.name AS "table", v.schema_version AS made,
-- include: references_changed
FROM pragma_table_list AS l, pragma_schema_version AS v
WHERE l.schema = :schema AND l.name = :table AND l.type = 'table'

-- include: same_schema

-- guard: the rows of this range
SELECT chunk.rows AS rows, md5(chunk.lines) AS guard
FROM (SELECT count(*) AS rows, CAST(group_concat(r.line, char(10)) AS BLOB) AS lines
      FROM (SELECT {pairs} AS line FROM {schema}.{table}
            WHERE {after} AND {until} AND
                  -- include: old_rows
            ORDER BY {key}) AS r) AS chunk

-- do: delete the archived rows of this range
DELETE FROM {schema}.{table}
WHERE (SELECT schema_version FROM pragma_schema_version) = :made AND {after} AND {until} AND
      -- include: old_rows

-- verify: no old row is left
SELECT count(*) = 0 AS ok, count(*) AS remaining
FROM {schema}.{table}
WHERE {until} AND
      -- include: old_rows
