-- name: update_all_statistics
-- engine: sqlite >= 3.35
-- category: maintenance
-- risk: low
-- capabilities: [database_read, schema_analyze]
-- runs: statement
-- transaction: none
-- lock: RESERVED
-- max_execution_time: 3600
-- privileges: [WRITE]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
-- returns:
--   statistics_updated: {from: sum(verify.tables), description: "tables with an entry; empty tables have none"}
-- examples: [{params: {schema: main}}]
--
-- Run ANALYZE on the whole file in one transaction. Other writers wait until it is done (0.11 s for 500 MB). Use this for a
-- file of many tables: after every ANALYZE, SQLite reloads the statistics of all tables, so with 10,000 tables one ANALYZE of
-- everything took 0.2 s, and one of a single table 0.1 s.

-- find: no row if the file has no tables
SELECT count(*) AS objects FROM {schema}.sqlite_schema WHERE type = 'table' AND rootpage <> 0 GROUP BY type

-- do: every table and index
ANALYZE {schema}

-- verify: the statistics have been written again and are complete
-- A full ANALYZE empties sqlite_stat1 and numbers its rows from 1 without a gap, and it gives either all indexes of a table
-- an entry (but for partial ones) or none, when the table is empty. It does not matter whether the figures have changed.
WITH entry AS MATERIALIZED (
    SELECT CAST(tbl AS TEXT) AS tbl, CAST(idx AS TEXT) AS idx FROM {schema}.sqlite_stat1
), bare AS (
    SELECT tbl_name, name FROM {schema}.sqlite_schema WHERE type = 'index' AND (sql IS NULL OR sql NOT LIKE '%where%')
    EXCEPT
    SELECT tbl, idx FROM entry
)
SELECT (SELECT coalesce(max(rowid), 0) = count(*) FROM {schema}.sqlite_stat1)
       AND NOT EXISTS (SELECT 1 FROM bare WHERE tbl_name IN (SELECT tbl FROM entry)) AS ok,
       (SELECT count(DISTINCT tbl) FROM entry) AS tables
