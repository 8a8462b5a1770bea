-- name: rebuild_table
-- engine: mysql >= 8, mariadb >= 10.6
-- category: maintenance
-- risk: high
-- capabilities: [database_read, database_write]
-- runs: statement
-- transaction: none
-- lock: "MDL SHARED NO WRITE, brief EXCLUSIVE"
-- max_execution_time: 14400
-- privileges: [ALTER]
-- idempotent: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
-- returns:
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   bytes_method: {from: first(find.bytes_method), description: "'file size', exact, or 'statistics'"}
-- examples: [{params: {schema: shop, table: orders}}]
--
-- Rebuild a table and all its indexes with ALTER TABLE … FORCE, by the least blocking method that the server has for it. For
-- InnoDB that is usually INPLACE while reads and writes continue, as in rebuild_fragmented_indexes; where that is impossible
-- (FULLTEXT indexes, old temporal columns, MyISAM, Aria and other engines) it copies the table: reads continue, and WRITES WAIT
-- until it is done. At the end all sessions wait for a moment for an exclusive metadata lock. Needs free disk space of the size
-- of the table, is always written to the binary log, and a replica that applies it lags by as long as it takes.
--
-- Use it on request: if optimize_table is not enough or not allowed, after a change of row format, or to get rid of instantly
-- added columns. If it is cancelled, the old table stays as it was.
--
-- What `verify` proves: CREATE_TIME has changed, or is less than 2 seconds old (its resolution is one second). Needs ALTER on
-- the table.

-- find: the table
WITH
-- include [mariadb with process]: file_mariadb
-- include [mysql with process]: file_mysql
-- include [without process]: file_unseen
-- include: table_as_it_stands
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND t.CREATE_TIME IS NOT NULL

-- include: same_name

-- do: a new copy replaces the table
ALTER TABLE {schema}.{table} FORCE

-- verify: the table has been rebuilt
WITH
-- include [mariadb with process]: file_mariadb
-- include [mysql with process]: file_mysql
-- include [without process]: file_unseen
-- include: table_made_anew
