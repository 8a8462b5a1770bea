-- name: restore_references
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
--   part: {type: integer, default: 0, description: the file of the archive that contains them}
--   columns: {type: columns, description: 'columns of the archive with their roles, key or changed; `left` is the value they had after the deletion'}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
-- forms: {any: ':value'}
-- lists:
--   assigned: {each: '{column} = {form}', roles: [changed]}
--   matched: {each: '{column} = {form}', roles: [key], between: ' AND '}
--   unset: {each: '{column} IS :left', roles: [changed], between: ' AND '}
--   differing: {each: '{column} IS NOT {form}', roles: [changed], between: ' OR '}
-- returns:
--   rows_loaded: {from: sum(batches.rows_loaded), description: rows whose values were restored}
--   rows_left: {from: sum(batches.rows_left), description: 'rows that have another value by now, or no longer exist'}
--   batches: sum(batches.batches)
-- examples:
--   - params: {schema: main, table: notes, archive: 20261121T030000Z-1a2b3c4d-archive_orders, part: 2,
--       columns: [{column: id, form: any, role: key}, {column: order_id, form: any, role: changed}]}
--
-- Restore references that were set to NULL or to a default when the referenced rows were deleted, one transaction per chunk of
-- the archive. A row that holds another value by now stays as it is. A row that already has its old value is not updated, so
-- that no trigger fires for it: the tool may be run again after an interruption.

-- find: the table
SELECT l.schema AS schema, l.name AS "table", 0 AS position, 0 AS whole, v.schema_version AS made
FROM pragma_table_list AS l, pragma_schema_version AS v
WHERE l.schema = :schema AND l.name = :table AND l.type = 'table'

-- include: same_schema

-- do: restore a row's old values
UPDATE {schema}.{table} SET {assigned} WHERE {matched} AND {unset} AND ({differing})

-- verify: the statements were sent
SELECT 1 AS ok
