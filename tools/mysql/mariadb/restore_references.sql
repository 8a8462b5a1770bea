-- name: restore_references
-- engine: mariadb >= 10.6
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- archives: load
-- transaction: none
-- lock: MDL SHARED WRITE
-- max_execution_time: 600
-- privileges: [SELECT, UPDATE]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   archive: {type: string, description: id or folder of the archive}
--   part: {type: integer, default: 0, description: the file of the archive that contains them}
--   columns: {type: columns, description: 'columns of the archive with their roles, key, changed or same; `left` is the value they had after the deletion'}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
-- forms:
--   plain: ':value'
--   real: ':value'
--   bits: 'CAST(:value AS UNSIGNED)'
--   hex: 'UNHEX(:value)'
--   text: ':value'
--   utc: ':value'
-- lists:
--   assigned: {each: '{column} = {form}', roles: [changed]}
--   steady: {each: ', {column} = {column}', roles: [same], between: ''}
--   matched: {each: '{column} = {form}', roles: [key], between: ' AND '}
--   unset: {each: '{column} <=> :left', roles: [changed], between: ' AND '}
--   differing: {each: 'NOT ({column} <=> {form})', roles: [changed], between: ' OR '}
-- returns:
--   rows_loaded: {from: sum(batches.rows_loaded), description: rows whose values were restored}
--   rows_left: {from: sum(batches.rows_left), description: 'rows that have another value by now, or no longer exist'}
--   batches: sum(batches.batches)
-- examples:
--   - params: {schema: shop, table: notes, archive: 20261121T030000Z-1a2b3c4d-archive_orders, part: 2,
--       columns: [{column: id, form: plain, role: key}, {column: order_id, form: plain, role: changed}]}
--
-- Restore references that were set to NULL or to a default when the referenced rows were deleted, one transaction per chunk of
-- the archive. A row that holds another value by now stays as it is. A row that already has its old value is not updated, so
-- that no trigger fires for it: the tool may be run again after an interruption. Columns with ON UPDATE CURRENT_TIMESTAMP keep
-- their times.

-- find: the table
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`, 0 AS position, FALSE AS whole,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created,
       t.CREATE_TIME < NOW(6) - INTERVAL 1100000 MICROSECOND AS settled
FROM information_schema.TABLES AS t
WHERE t.TABLE_SCHEMA = :schema AND t.TABLE_NAME = :table AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')

-- include: same_table

-- do: restore a row's old values
SET STATEMENT time_zone = '+00:00' FOR
UPDATE {schema}.{table} SET {assigned}{steady} WHERE {matched} AND {unset} AND ({differing})

-- verify: the statements were sent
SELECT TRUE AS ok
