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
-- ANALYZE of the named tables, one after the other, because SQLite's ANALYZE takes one name. Each is a short transaction
-- of its own: other writers wait for one table at a time. For hundreds of tables use update_all_statistics: after every
-- ANALYZE SQLite loads the statistics of all tables anew, 0.1 s each in a file of 10,000 tables. Open connections of the
-- application use the new figures from their next schema load, as a rule after they reconnect.
--
-- What `verify` proves: the table and each of its indexes have an entry, and the entry's row count is right within 50 +
-- 10 % (writers may have gone on). It cannot tell an entry just written from an equally right one of before, and need
-- not: either is what the planner of queries reads. An empty table has no entry, and that is right.

-- find: the named tables that can be analysed, in the order asked
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without it SQLite makes no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
)
SELECT n."schema" AS "schema", n.name AS "table", o.rootpage AS rootpage, o.sql AS definition
  FROM named AS n JOIN main.sqlite_schema AS o ON o.name = n.name AND o.type = 'table' AND o.rootpage <> 0
 WHERE n."schema" = 'main'
 ORDER BY n.position

-- include: same_table

-- do: one name, all its indexes
ANALYZE {schema}.{table}

-- verify: sqlite_stat1 (ANALYZE makes it where there was none) describes the table as it is now
-- include: statistics_written

-- report: what was named and cannot be analysed
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without it SQLite makes no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
)
SELECT n."schema" AS "schema",
       n.name AS "table",
       CASE WHEN n."schema" <> 'main' THEN 'only the schema main is looked after'
            WHEN n.name IN (SELECT name FROM main.sqlite_schema WHERE type = 'view')
                 THEN 'a view has no statistics'
            WHEN n.name IN (SELECT name FROM main.sqlite_schema WHERE type = 'table')
                 THEN 'a virtual table has no statistics'
            ELSE 'there is no such table' END AS reason
  FROM named AS n
 WHERE (n."schema" <> 'main'
        OR n.name NOT IN (SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage <> 0))
 ORDER BY n.position
