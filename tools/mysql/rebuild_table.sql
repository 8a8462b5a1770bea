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
-- ALTER TABLE … FORCE: the table and all its indexes are written anew, by the gentlest way the server has for this
-- table. For InnoDB that is as a rule INPLACE with reads and writes going on, as in rebuild_fragmented_indexes; where
-- it cannot (FULLTEXT indexes, old temporal columns, MyISAM, Aria and other engines) it copies the table, reads go on
-- and WRITES WAIT until it is done. At the end everything waits for a moment for an exclusive metadata lock. It needs
-- the size of the table once more on the disk, always goes to the binary log, and a replica that applies it lags by as
-- long as it takes.
--
-- Use it on request: when optimize_table is not enough or not allowed, after a change of row format, or to get rid of
-- instantly added columns. Cancelled before its end it leaves the old table as it was.
--
-- What `verify` proves: CREATE_TIME is another one than before, or younger than 2 seconds (its resolution is one
-- second). Needs ALTER on the table.

-- find: the table as it stands
WITH
-- include [mariadb with process]: file_mariadb
-- include [mysql with process]: file_mysql
-- include [without process]: file_unseen
-- include: table_as_it_stands
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND t.CREATE_TIME IS NOT NULL

-- include: same_name

-- do: a new copy takes the table's place
ALTER TABLE {schema}.{table} FORCE

-- verify: the table was made anew
WITH
-- include [mariadb with process]: file_mariadb
-- include [mysql with process]: file_mysql
-- include [without process]: file_unseen
-- include: table_made_anew
