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
--   part: {type: integer, default: 0, description: which file of the archive has them}
--   columns: {type: columns, description: 'columns of the archive with the role of each: key or changed; what they have since as `left`'}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
-- forms: {any: ':value'}
-- lists:
--   assigned: {each: '{column} = {form}', roles: [changed]}
--   matched: {each: '{column} = {form}', roles: [key], between: ' AND '}
--   unset: {each: '{column} IS :left', roles: [changed], between: ' AND '}
--   differing: {each: '{column} IS NOT {form}', roles: [changed], between: ' OR '}
-- returns:
--   rows_loaded: {from: sum(batches.rows_loaded), description: rows that got back what they held}
--   rows_left: {from: sum(batches.rows_left), description: 'rows that hold something else meanwhile, or are gone'}
--   batches: sum(batches.batches)
-- examples:
--   - params: {schema: main, table: notes, archive: 20261121T030000Z-1a2b3c4d-archive_orders, part: 2,
--       columns: [{column: id, form: any, role: key}, {column: order_id, form: any, role: changed}]}
--
-- Puts back what rows referred to before the rows they referred to were deleted, a chunk of an archive a transaction. A row that
-- refers to something else meanwhile stays as it is, and so does one that has what it had, so that no trigger fires for it: it may
-- be done again after an interruption.

-- find: the table
SELECT l.schema AS schema, l.name AS "table", 0 AS position, 0 AS whole, v.schema_version AS made
FROM pragma_table_list AS l, pragma_schema_version AS v
WHERE l.schema = :schema AND l.name = :table AND l.type = 'table'

-- include: same_schema

-- do: give a row back what it held
UPDATE {schema}.{table} SET {assigned} WHERE {matched} AND {unset} AND ({differing})

-- verify: the statements were sent
SELECT 1 AS ok
