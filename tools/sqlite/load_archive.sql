-- name: load_archive
-- engine: sqlite >= 3.37
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- archives: load
-- transaction: none
-- lock: RESERVED
-- max_execution_time: 600
-- privileges: [WRITE]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   archive: {type: string, description: id or folder of the archive}
--   part: {type: integer, default: 0, description: 'which file of the archive: 0 is the table itself, the others are the tables whose rows were deleted or changed with it'}
--   columns: {type: columns, description: 'the archive''s columns: {column, type, form}'}
--   more: {type: array, default: [], description: 'numbers of further files with rows of the same table'}
--   within: {type: array, default: [], description: 'foreign keys of the table to itself: {columns, refers_to, nullable}; a row is inserted after the row it references'}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
-- forms: {any: ':value'}
-- lists: {names: '{column}', row: '{form}', loaded: ':name'}
-- returns:
--   rows_loaded: sum(batches.rows_loaded)
--   rows_left: {from: sum(batches.rows_left), description: rows that already existed}
--   rows_left_out: {from: sum(batches.rows_left_out), description: 'archived rows that were not loaded: the run did not delete them, or they are duplicates in the archive'}
--   rows_in_doubt: {from: sum(batches.rows_in_doubt), description: 'rows that were loaded although it is not known whether the run deleted them'}
--   rows_postponed: {from: sum(batches.rows_postponed), description: rows that reference each other in a circle and were inserted without these references}
--   batches: sum(batches.batches)
--   uncounted_batches: {from: sum(batches.uncounted_batches), description: interruptions after which a chunk may be counted as already present}
-- examples:
--   - params: {schema: public, table: app_log, archive: 20261121T030000Z-1a2b3c4d-archive_app_log,
--       columns: [{column: id, type: integer, form: any}]}
--
-- Load the rows of an archive back into a table, one transaction per chunk. Rows whose key already exists are left alone. If
-- the table has no suitable key, all rows are loaded in one transaction. The archive is checked as it is read. Rows that the
-- archive's run did not delete are left out. If the table references itself, a row is inserted after the row it references;
-- rows that reference each other in a circle are inserted without these references.

-- find: the table; `whole` if it has no key of archived columns by which a row sent twice would be recognized
SELECT l.schema AS schema, l.name AS "table", 0 AS position, v.schema_version AS made,
       NOT EXISTS (SELECT 1 FROM pragma_index_list(:table, :schema) AS i
                   WHERE i."unique" = 1 AND i.partial = 0
                     AND NOT EXISTS (SELECT 1 FROM pragma_index_info(i.name, :schema) AS k
                                     LEFT JOIN pragma_table_xinfo(:table, :schema) AS c ON c.cid = k.cid
                                     WHERE c.name IS NULL OR c."notnull" = 0 OR c.name NOT IN ({loaded})))
       -- An INTEGER PRIMARY KEY is the rowid: it has no index and is never NULL
       AND NOT EXISTS (SELECT 1 FROM pragma_table_xinfo(:table, :schema) AS c
                       WHERE c.pk = 1 AND upper(c.type) = 'INTEGER' AND c.name IN ({loaded})
                         AND NOT EXISTS (SELECT 1 FROM pragma_index_list(:table, :schema) AS i WHERE i.origin = 'pk')) AS whole
FROM pragma_table_list AS l, pragma_schema_version AS v
WHERE l.schema = :schema AND l.name = :table AND l.type = 'table'

-- include: same_schema

-- do: insert a chunk's rows
INSERT INTO {schema}.{table} ({names}) VALUES ({row}) ON CONFLICT DO NOTHING

-- verify: the table has at least as many rows as the archive
SELECT count(*) >= :archived_rows AS ok, count(*) AS rows_now
FROM {schema}.{table}
