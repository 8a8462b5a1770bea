-- name: restore_references
-- engine: postgresql >= 12
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- archives: load
-- transaction: none
-- lock: ROW EXCLUSIVE
-- locks_too: {referenced: ROW SHARE}
-- max_execution_time: 600
-- privileges: [SELECT, UPDATE]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   archive: {type: string, description: id or folder of the archive}
--   part: {type: integer, default: 0, description: the file of the archive that contains them}
--   columns: {type: columns, description: 'columns of the archive with their roles, key or changed; `left` is the value they had after the deletion'}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
-- forms: {plain: ':value', text: ':value'}
-- lists:
--   assigned: {each: '{column} = {form}', roles: [changed]}
--   matched: {each: '{column} = {form}', roles: [key], between: ' AND '}
--   unset: {each: '{column} IS NOT DISTINCT FROM :left', roles: [changed], between: ' AND '}
--   differing: {each: '{column} IS DISTINCT FROM {form}', roles: [changed], between: ' OR '}
-- returns:
--   rows_loaded: {from: sum(batches.rows_loaded), description: rows whose values were restored}
--   rows_left: {from: sum(batches.rows_left), description: 'rows that have another value by now, or no longer exist'}
--   batches: sum(batches.batches)
-- examples:
--   - params: {schema: public, table: notes, archive: 20261121T030000Z-1a2b3c4d-archive_orders, part: 2,
--       columns: [{column: id, form: plain, role: key}, {column: order_id, form: plain, role: changed}]}
--
-- Restore references that were set to NULL or to a default when the referenced rows were deleted, one transaction per chunk of
-- the archive. A row that holds another value by now stays as it is. A row that already has its old value is not updated, so
-- that no trigger fires for it: the tool may be run again after an interruption.

-- find: the table
SELECT n.nspname AS schema, c.relname AS "table", c.oid::text AS oid, 0 AS position, false AS whole
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table AND c.relkind IN ('r', 'p')

-- same: the table is the one that was approved; reading none of its rows takes a lock that keeps its name for the transaction
SELECT to_regclass(format('%I.%I', CAST(:schema AS text), CAST(:table AS text))) = CAST(CAST(:oid AS text) AS oid)
       AND NOT EXISTS (SELECT 1 FROM {schema}.{table} LIMIT 0) AS same

-- do: restore a row's old values
UPDATE {schema}.{table} SET {assigned} WHERE {matched} AND {unset} AND ({differing})

-- verify: the statements were sent
SELECT true AS ok
