-- name: analyze_database_health
-- engine: mariadb >= 10.6 with process
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
--   findings: rows(unreadable, corruption, keys, redundant, unused, counters, space, engines, settings, purge, transactions)
--   tables: sum(size.tables)
--   database_bytes: sum(size.bytes)
-- examples: [{params: {}}]
--
-- Report the problems of the whole database from 12 catalog queries. Looks for unreadable tables and broken views, tables
-- without a primary key, duplicate, redundant and unused indexes, counters near their end, free space inside files, settings
-- that defeat maintenance, lagging purge, and long and orphaned transactions. Reads no table. `tables` limits findings about
-- objects to these tables.
--
-- Unused indexes are reported only with userstat=ON and after a week of uptime; the statistics begin when the server starts.
-- MariaDB sequences would have to be queried one by one and are not reported. The thresholds (80 % of a counter, 64 MB and a
-- fifth of a file, 300 s, a history of 100,000) are judgement, not measurement. InnoDB has no wraparound: transaction ids have
-- 48 bits.

-- include: health_tables

-- include: health_indexes_mariadb

-- include: health_space

-- include: health_settings_mariadb

-- include: health_transactions
