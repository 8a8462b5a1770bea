-- name: update_table_statistics
-- engine: sqlite >= 3.35
-- category: maintenance
-- risk: low
-- capabilities: [database_read, schema_analyze]
-- runs: statement
-- transaction: none
-- lock: RESERVED
-- max_execution_time: 1800
-- privileges: [WRITE]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
-- returns:
--   statistics_updated: count(ok)
-- examples: [{params: {schema: main, table: orders}}]
--
-- ANALYZE of one table: counts its rows and how selective its indexes are, so that queries choose the right index. Reads
-- every index to the end (0.11 s for 500 MB); other writers wait meanwhile, readers do not but for the commit. Open
-- connections of the application use the new figures from their next schema load, as a rule after they reconnect.
--
-- What `verify` proves: the table and each of its indexes have an entry, and the entry's row count is right within 50 +
-- 10 % (writers may have gone on). It cannot tell an entry just written from an equally right one of before, and need
-- not: either is what the planner of queries reads. An empty table has no entry, and that is right.

-- find: the table, if it is one that can be analysed
SELECT o.name AS name, o.rootpage AS rootpage, o.sql AS definition
  FROM {schema}.sqlite_schema AS o
 WHERE o.type = 'table' AND o.rootpage <> 0 AND o.name = :table

-- include: same_table

-- do: one name, all its indexes
ANALYZE {schema}.{table}

-- verify: sqlite_stat1 (ANALYZE makes it where there was none) describes the table as it is now
-- include: statistics_written
