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
--   part: {type: integer, default: 0, description: 'which of its files: 0 is the table it is of, the others are of those whose rows went with it'}
--   columns: {type: columns, description: 'the archive''s columns: {column, type, form}'}
--   more: {type: array, default: [], description: 'numbers of further files, which have rows of the same table'}
--   within: {type: array, default: [], description: 'foreign keys of the table to itself: {columns, refers_to, nullable}; rows go in after what they refer to'}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
-- forms: {any: ':value'}
-- lists: {names: '{column}', row: '{form}', loaded: ':name'}
-- returns:
--   rows_loaded: sum(batches.rows_loaded)
--   rows_left: {from: sum(batches.rows_left), description: rows that were there already}
--   rows_left_out: {from: sum(batches.rows_left_out), description: 'archived rows that are not sent: their run did not delete them, or they stand in the archive a second time'}
--   rows_in_doubt: {from: sum(batches.rows_in_doubt), description: 'rows that were sent, and of which it is not known whether their run deleted them'}
--   rows_postponed: {from: sum(batches.rows_postponed), description: rows that refer to each other in a circle and went in without that}
--   batches: sum(batches.batches)
--   uncounted_batches: {from: sum(batches.uncounted_batches), description: interruptions after which a chunk may count as there already}
-- examples:
--   - params: {schema: public, table: app_log, archive: 20261121T030000Z-1a2b3c4d-archive_app_log,
--       columns: [{column: id, type: integer, form: any}]}
--
-- Puts the rows of an archive into a table, a chunk a transaction. Rows whose key is there already stay as they are. Into a
-- table without such a key all rows go in one transaction. The archive is checked as it is read.
-- Rows that the archive's run did not delete are left out. Where the table refers to itself, a row goes in after the one that
-- it refers to, and rows that do so in a circle without what they refer to.

-- find: the table, and whether no key of archived columns would tell a row that is sent twice
SELECT l.schema AS schema, l.name AS "table", 0 AS position, v.schema_version AS made,
       NOT EXISTS (SELECT 1 FROM pragma_index_list(:table, :schema) AS i
                   WHERE i."unique" = 1 AND i.partial = 0
                     AND NOT EXISTS (SELECT 1 FROM pragma_index_info(i.name, :schema) AS k
                                     LEFT JOIN pragma_table_xinfo(:table, :schema) AS c ON c.cid = k.cid
                                     WHERE c.name IS NULL OR c."notnull" = 0 OR c.name NOT IN ({loaded})))
       -- INTEGER PRIMARY KEY is the row's own number: it has no index, and is never NULL
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
