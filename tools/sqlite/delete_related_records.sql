-- name: delete_related_records
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
--   - params: {schema: main, table: orders, date_column: created_at, cutoff: '2026-01-01 00:00:00', archive: /var/a,
--       columns: [{column: id, type: bigint, form: any}], key: [id],
--       relatives: {tables: [{schema: main, table: items, columns: [{column: id, type: bigint, form: any}], key: [id]}],
--         edges: [{parent: 0, child: 1, pairs: [[order_id, id]]}]}}
--
-- Delete the rows that an archive contains, a chunk at a time, and let foreign keys delete or change the related rows that it
-- also contains. In the transaction of a chunk, every row that the deletion would reach is first looked up and compared with
-- the archive, except for values that this deletion itself has set to NULL. If a row has been added or changed since, the chunk
-- is kept whole for the next run. No other connection can write meanwhile.

-- find: the table
SELECT l.schema AS schema, l.name AS "table", v.schema_version AS made,
-- include: references_changed
FROM pragma_table_list AS l, pragma_schema_version AS v
WHERE l.schema = :schema AND l.name = :table AND l.type = 'table'

-- include: same_schema

-- guard: every row that deleting this range reaches
WITH RECURSIVE
-- include: related_rows
SELECT part AS part, count(*) AS rows, group_concat(md5(line)) AS sums FROM kept GROUP BY part

-- do: delete the archived rows of this range
DELETE FROM {schema}.{table}
WHERE (SELECT schema_version FROM pragma_schema_version) = :made AND {after} AND {until} AND
      -- include: old_rows

-- verify: no old row is left
SELECT count(*) = 0 AS ok, count(*) AS remaining
FROM {schema}.{table}
WHERE {until} AND
      -- include: old_rows
