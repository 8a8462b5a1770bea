-- name: analyze_database_health
-- engine: mariadb >= 10.6 without process
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
--   findings: rows(unreadable, corruption, keys, redundant, unused, counters, space, engines, settings, purge)
--   tables: sum(size.tables)
--   database_bytes: sum(size.bytes)
-- examples: [{params: {}}]
--
-- Looks at the whole database in 11 catalog queries and reports what a DBA should know: unreadable tables and broken
-- views, tables without a primary key, duplicate and redundant and unused indexes, counters near their end, space
-- inside the files, settings that make maintenance useless, purge that lags. Reads no table. With `tables` the
-- findings about objects are limited to these.
--
-- Transactions of others are not seen: that needs PROCESS, which this role lacks. Unused indexes are told only with
-- userstat=ON and a week of uptime; statistics begin with the server's start. MariaDB sequences have to be asked one
-- by one and are not. Thresholds (80 % of a counter, 64 MB and a fifth of a file, 300 s, history of 100,000) are
-- judgement, not measurement. InnoDB has no wraparound: transaction ids have 48 bits.

-- include: health_tables

-- include: health_indexes_mariadb

-- include: health_space

-- include: health_settings_mariadb
