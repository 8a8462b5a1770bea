-- name: load_archive
-- engine: mariadb >= 10.6
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- archives: load
-- transaction: none
-- lock: MDL SHARED WRITE
-- locks_too: {referring: MDL SHARED READ}
-- max_execution_time: 600
-- privileges: [SELECT, INSERT]
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
-- forms:
--   plain: ':value'
--   real: ':value'
--   bits: 'CAST(:value AS UNSIGNED)'
--   hex: 'UNHEX(:value)'
--   text: ':value'
--   utc: ':value'
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
--   - params: {schema: shop, table: app_log, archive: 20261121T030000Z-1a2b3c4d-archive_app_log,
--       columns: [{column: id, type: bigint, form: plain}]}
--
-- Load the rows of an archive back into a table, one transaction per chunk. Rows whose key already exists are left alone. If
-- the table has no suitable key, all rows are loaded in one transaction; a table that has no transactions either is refused.
-- The archive is checked as it is read. Rows that the archive's run did not delete are left out. If the table references
-- itself, a row is inserted after the row it references; rows that reference each other in a circle are inserted without these
-- references.

-- find: the table; `whole` if it has no key of archived columns by which a row sent twice would be recognized
WITH tables AS (
  SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE, t.ENGINE, t.CREATE_TIME, e.TRANSACTIONS,
         NOT EXISTS (SELECT 1 FROM information_schema.STATISTICS AS s
                     WHERE s.TABLE_SCHEMA = :schema AND s.TABLE_NAME = :table AND s.NON_UNIQUE = 0
                     GROUP BY s.INDEX_NAME
                     HAVING SUM(s.NULLABLE = 'YES' OR s.COLUMN_NAME NOT IN ({loaded})) = 0) AS whole
  FROM information_schema.TABLES AS t LEFT JOIN information_schema.ENGINES AS e ON e.ENGINE = t.ENGINE
  WHERE t.TABLE_SCHEMA = :schema AND t.TABLE_NAME = :table
)
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`, 0 AS position, t.whole AS whole,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created, t.CREATE_TIME < NOW(6) - INTERVAL 1100000 MICROSECOND AS settled,
       CASE WHEN whole AND COALESCE(TRANSACTIONS, 'NO') <> 'YES'
            THEN CONCAT('has neither a key of archived columns nor transactions (', ENGINE, ')') END AS obstacle
FROM tables AS t
WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')

-- include: same_table

-- do: insert a chunk's rows; one whose key already exists is refused, and then skipped
-- (ON DUPLICATE KEY UPDATE would fire triggers for UPDATE, and IGNORE would hide other errors too)
SET STATEMENT time_zone = '+00:00' FOR
INSERT INTO {schema}.{table} ({names}) VALUES ({row})

-- verify: the table has at least as many rows as the archive
SELECT COUNT(*) >= :archived_rows AS ok, COUNT(*) AS rows_now
FROM {schema}.{table}
