-- name: batch_update_statistics
-- engine: sqlite >= 3.35
-- category: maintenance
-- risk: low
-- capabilities: [database_read, schema_analyze]
-- runs: each
-- transaction: none
-- lock: RESERVED
-- max_execution_time: 1800
-- privileges: [WRITE]
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list}
-- returns:
--   statistics_updated: count(ok)
--   skipped: rows(skipped, report)
--   failed: rows(failed)
-- examples: [{params: {tables: [{schema: main, table: orders}, {schema: main, table: customers}]}}]
--
-- Run ANALYZE on the named tables, one after the other. SQLite's ANALYZE takes one name, so each table is a short transaction
-- of its own and other writers wait for one table at a time. For hundreds of tables use update_all_statistics: after every
-- ANALYZE, SQLite reloads the statistics of all tables, which takes 0.1 s in a file of 10,000 tables. The application's open
-- connections use the new statistics after their next schema load, usually when they reconnect.
--
-- What `verify` proves: the table and each of its indexes have an entry, and the entry's row count is right within 50 + 10 %
-- (writers may have continued). It cannot tell a new entry from an equally accurate older one, and need not: the query planner
-- reads either. An empty table has no entry, which is correct.

-- find: the named tables that can be analyzed, in the order given
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without one SQLite builds no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
)
SELECT n."schema" AS "schema", n.name AS "table", o.rootpage AS rootpage, o.sql AS definition
  FROM named AS n JOIN main.sqlite_schema AS o ON o.name = n.name AND o.type = 'table' AND o.rootpage <> 0
 WHERE n."schema" = 'main'
 ORDER BY n.position

-- include: same_table

-- do: one table with all its indexes
ANALYZE {schema}.{table}

-- verify: sqlite_stat1 (which ANALYZE creates if necessary) describes the table's current contents
-- include: statistics_written

-- report: named objects that cannot be analyzed
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without one SQLite builds no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
)
SELECT n."schema" AS "schema",
       n.name AS "table",
       CASE WHEN n."schema" <> 'main' THEN 'only the schema main is maintained'
            WHEN n.name IN (SELECT name FROM main.sqlite_schema WHERE type = 'view')
                 THEN 'a view has no statistics'
            WHEN n.name IN (SELECT name FROM main.sqlite_schema WHERE type = 'table')
                 THEN 'a virtual table has no statistics'
            ELSE 'the table does not exist' END AS reason
  FROM named AS n
 WHERE (n."schema" <> 'main'
        OR n.name NOT IN (SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage <> 0))
 ORDER BY n.position
