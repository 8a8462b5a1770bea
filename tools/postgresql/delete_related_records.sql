-- name: delete_related_records
-- engine: postgresql >= 12
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- archives: delete
-- transaction: none
-- lock: ROW EXCLUSIVE
-- locks_too: {referring: ROW EXCLUSIVE}
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
--   relatives: {type: relatives, description: 'the tables whose rows are deleted or changed with these, and the foreign keys between them'}
--   archive: {type: string, description: the archive that contains the rows}
--   watched: {type: identifier_list, default: [], description: 'the tables whose rows are deleted, as {schema, table}'}
--   acting: {type: integer, default: 0, minimum: 0, description: number of foreign keys referencing them that act on a delete}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
--   cascades: {type: object, default: {}, description: 'rows of other tables that are deleted or changed with these, by table'}
--   changes: {type: object, default: {}, description: 'of those, the rows that are changed and kept, by table'}
-- forms: {plain: '{column}', text: 'CAST({column} AS text)'}
-- lists:
--   selected: '{form} AS {column}'
--   rows:
--     over: tables
--     each: >-
--       WHEN {number} THEN (SELECT CAST(row_to_json(r.*) AS text) FROM (SELECT {selected} FROM {named} AS t
--       WHERE t.tableoid = g.relation AND t.ctid = g.place) AS r)
--     between: ' '
--   edges:
--     over: edges
--     each: >-
--       SELECT {child_number} AS part, c.tableoid AS relation, c.ctid AS place FROM {parent} AS p JOIN {child} AS c ON {on}
--       WHERE g.part = {parent_number} AND p.tableoid = g.relation AND p.ctid = g.place
--     between: ' UNION ALL '
--   moved:
--     over: moved
--     each: >-
--       UNION ALL SELECT tableoid AS relation, ctid AS place FROM ONLY {named} WHERE ({key}) IN ({keys})
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
--   - params: {schema: public, table: orders, date_column: created_at, cutoff: '2026-01-01 00:00:00', archive: /var/a,
--       columns: [{column: id, type: bigint, form: plain}],
--       relatives: {tables: [{schema: public, table: items, columns: [{column: id, type: bigint, form: plain}]}],
--         edges: [{parent: 0, child: 1, pairs: [[order_id, id]]}]}}
--
-- Delete the rows that an archive contains, a chunk at a time, and let foreign keys delete or change the related rows that it
-- also contains. In the transaction of a chunk, every row that the deletion would reach is first looked up and compared with
-- the archive, except for values that this deletion itself has set to NULL. If a row has been added or changed since, the chunk
-- is kept whole for the next run. The transaction is REPEATABLE READ: a row added after the comparison makes the deletion fail,
-- and it is tried again. Before PostgreSQL 14 a range of pages cannot be scanned by itself, so every possible row position
-- (ctid) on these pages is looked up there (measured on rows of 230 bytes: about five times slower than reading the range).

-- find: the table
SELECT n.nspname AS schema, c.relname AS "table", c.oid::text AS oid, pg_table_size(c.oid) AS bytes,
-- include: references_changed
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table AND c.relkind = 'r'

-- include: same_name

-- guard: every row that deleting these pages' rows reaches
WITH RECURSIVE
own (relation, place) AS (
-- include [>= 14]: archived_places
-- include [< 14]: archived_places_by_place
),
-- include: related_rows
SELECT part, count(*) AS rows,
       string_agg(CASE WHEN getdatabaseencoding() IN ('UTF8', 'SQL_ASCII') THEN md5(line) ELSE md5(convert_to(line, 'UTF8')) END, ',')
         AS sums
FROM kept GROUP BY part

-- do: delete the archived rows of these pages
DELETE FROM ONLY {schema}.{table}
WHERE tableoid = CAST(CAST(:oid AS text) AS oid)
  AND ctid = ANY (ARRAY(SELECT own.place FROM (
-- include [>= 14]: archived_places
-- include [< 14]: archived_places_by_place
  ) AS own))
  AND {date_column} < :cutoff{filters}

-- verify: no old row is left on the archive's pages, or on any page if the archive is of the whole table
SELECT count(*) = 0 AS ok, count(*) AS remaining
FROM ONLY {schema}.{table}
WHERE ctid < CAST('(' || CASE WHEN CAST(:whole AS boolean) THEN 4294967294 ELSE CAST(:upto AS bigint) END || ',0)' AS tid)
  AND {date_column} < :cutoff{filters}
