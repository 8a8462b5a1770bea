-- name: analyze_database_health
-- engine: mysql >= 8 with process
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 120
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list, default: null}
--   check_corruption: {type: boolean, default: false}
-- returns:
--   findings: rows(unreadable, corruption, keys, redundant, counters, space, engines, settings, transactions)
--   tables: sum(size.tables)
--   database_bytes: sum(size.bytes)
-- examples: [{params: {}}]
--
-- Looks at the whole database in 10 catalog queries and reports what a DBA should know: unreadable tables and broken
-- views, tables without a primary key, duplicate and redundant indexes, counters near their end, space inside the
-- files, settings that make maintenance useless, long and orphaned transactions. Reads no table. With `tables` the
-- findings about objects are limited to these.
--
-- Unused indexes are not told: performance_schema.table_io_waits_summary_by_index_usage needs privileges of its own;
-- see sys.schema_unused_indexes. MariaDB sequences have to be asked one by one and are not. Thresholds (80 % of a
-- counter, 64 MB and a fifth of a file, 300 s, history of 100,000) are judgement, not measurement. InnoDB has no
-- wraparound: transaction ids have 48 bits.

-- include: health_tables

-- include: health_indexes_mysql

-- include: health_space

-- include: health_settings_mysql

-- include: health_transactions
