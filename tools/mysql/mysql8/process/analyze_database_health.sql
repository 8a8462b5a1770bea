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

-- size: tables and bytes of the connected database
SELECT CAST(COUNT(*) AS SIGNED) AS tables,
       CAST(COALESCE(SUM(CAST(COALESCE(t.DATA_LENGTH, 0) + COALESCE(t.INDEX_LENGTH, 0) + CASE WHEN t.ENGINE = 'InnoDB' AND @@innodb_file_per_table THEN COALESCE(t.DATA_FREE, 0) ELSE 0 END AS SIGNED)), 0) AS SIGNED) AS bytes
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')

-- unreadable: tables the server cannot open (damaged or missing files), and views over things that are gone
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 would lose most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
)
SELECT CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'broken_view' ELSE 'unreadable_table' END AS finding,
       CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'warning' ELSE 'critical' END AS severity,
       t.TABLE_NAME AS object,
       t.TABLE_COMMENT AS value,
       CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'The view cannot be used: define it anew or drop it.'
            ELSE 'The server cannot open the table: check the files and the error log, then repair_corrupted_tables or restore it.' END AS detail
  FROM information_schema.TABLES AS t
  LEFT JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND (:tables IS NULL OR a.name IS NOT NULL)
   AND COALESCE(t.TABLE_ROWS, 0) >= 0  -- makes the server open the table: its definition alone can be sound
   AND ((t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND t.ENGINE IS NULL) OR (t.TABLE_TYPE = 'VIEW' AND t.TABLE_COMMENT LIKE '%references invalid%'))
 ORDER BY 2, 3

-- corruption: what a query can know of damage, and what it cannot
SELECT 'corruption_not_visible' AS finding, 'info' AS severity, NULL AS object, 'InnoDB pages' AS value,
       'Damaged pages show in no catalog table: only what the server could not open is listed; check_table_corruption reads the tables themselves.' AS detail
  FROM (SELECT 1 AS one) AS d
 WHERE :check_corruption

-- keys: tables without a primary key or a unique key that could stand in for it
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 would lose most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
), keyed AS (
    SELECT DISTINCT u.name
      FROM (SELECT CAST(x.TABLE_NAME AS BINARY(256)) AS name, x.INDEX_NAME
              FROM information_schema.STATISTICS AS x
              JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row; with it MariaDB expects enough rows to build a key for the join
             WHERE x.TABLE_SCHEMA = DATABASE() AND x.NON_UNIQUE = 0
             GROUP BY CAST(x.TABLE_NAME AS BINARY(256)), x.INDEX_NAME
            HAVING SUM(x.NULLABLE = 'YES') = 0) AS u
)
SELECT 'missing_primary_key' AS finding, 'warning' AS severity, t.TABLE_NAME AS object,
       CONCAT('about ', COALESCE(t.TABLE_ROWS, 0), ' rows') AS value,
       'No primary key: row-based replication searches the whole table for each changed row, and clean-up in key order is not possible; add one.' AS detail
  FROM information_schema.TABLES AS t
  LEFT JOIN keyed AS k ON k.name = CAST(t.TABLE_NAME AS BINARY(256))
  LEFT JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND t.ENGINE IN ('InnoDB', 'MyISAM', 'Aria')
   AND k.name IS NULL
   AND (:tables IS NULL OR a.name IS NOT NULL)
 ORDER BY t.TABLE_ROWS DESC, t.TABLE_NAME

-- redundant: an index whose columns are the beginning of another one's (or all of them) serves no query of its own
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 would lose most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
), listed AS (
    SELECT CAST(x.TABLE_NAME AS BINARY(256)) AS name, x.TABLE_NAME, x.INDEX_NAME, x.NON_UNIQUE, x.INDEX_TYPE,
           GROUP_CONCAT('`', REPLACE(COALESCE(x.COLUMN_NAME, CONCAT('?', x.INDEX_NAME, x.SEQ_IN_INDEX)), '`', '``'), '`',
                        COALESCE(CONCAT('(', x.SUB_PART, ')'), ''), CASE WHEN x.COLLATION = 'D' THEN ' DESC' ELSE '' END, ','
                        ORDER BY x.SEQ_IN_INDEX SEPARATOR '') AS columns
      FROM information_schema.STATISTICS AS x
      JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row; with it MariaDB expects enough rows to build a key for the join
     WHERE x.TABLE_SCHEMA = DATABASE() AND x.IS_VISIBLE <> 'NO'
     GROUP BY CAST(x.TABLE_NAME AS BINARY(256)), x.TABLE_NAME, x.INDEX_NAME, x.NON_UNIQUE, x.INDEX_TYPE
)
SELECT CASE WHEN s.columns = l.columns THEN 'duplicate_index' ELSE 'redundant_index' END AS finding,
       CASE WHEN s.columns = l.columns THEN 'warning' ELSE 'info' END AS severity,
       CONCAT(s.TABLE_NAME, '.', s.INDEX_NAME) AS object,
       CONCAT('(', TRIM(TRAILING ',' FROM s.columns), ') is covered by ', l.INDEX_NAME, ' (', TRIM(TRAILING ',' FROM l.columns), ')') AS value,
       CASE WHEN s.columns = l.columns THEN 'The same columns are indexed twice: drop this one after checking that no query names it in a hint.'
            ELSE 'The longer index can serve the same queries, if it is not much wider; consider dropping this one.' END AS detail
  FROM listed AS s
  JOIN listed AS l ON l.name = s.name AND l.INDEX_NAME <> s.INDEX_NAME AND l.INDEX_TYPE = s.INDEX_TYPE
       AND LEFT(l.columns, CHAR_LENGTH(s.columns)) = s.columns
  LEFT JOIN named AS a ON a.name = s.name
 WHERE s.INDEX_TYPE IN ('BTREE', 'HASH')
   AND s.INDEX_NAME <> 'PRIMARY'
   AND (s.INDEX_TYPE = 'BTREE' OR s.columns = l.columns)
   AND CASE WHEN s.columns <> l.columns THEN s.NON_UNIQUE = 1
            ELSE s.NON_UNIQUE > l.NON_UNIQUE OR (s.NON_UNIQUE = l.NON_UNIQUE AND (l.INDEX_NAME = 'PRIMARY' OR s.INDEX_NAME > l.INDEX_NAME)) END
   AND (:tables IS NULL OR a.name IS NOT NULL)
 ORDER BY 1, 3

-- counters: AUTO_INCREMENT columns that have used up four fifths of their type
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 would lose most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
), counter AS (
    SELECT CAST(c.TABLE_NAME AS BINARY(256)) AS name, MAX(c.COLUMN_NAME) AS column_name, MAX(c.COLUMN_TYPE) AS column_type,
           MAX(CASE c.DATA_TYPE WHEN 'tinyint' THEN 255 WHEN 'smallint' THEN 65535 WHEN 'mediumint' THEN 16777215
                                WHEN 'int' THEN 4294967295 WHEN 'bigint' THEN 18446744073709551615 END
               / CASE WHEN c.COLUMN_TYPE LIKE '%unsigned%' THEN 1 ELSE 2 END) AS largest
      FROM information_schema.COLUMNS AS c
      JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row; with it MariaDB expects enough rows to build a key for the join
     WHERE c.TABLE_SCHEMA = DATABASE() AND c.EXTRA LIKE '%auto_increment%'
     GROUP BY CAST(c.TABLE_NAME AS BINARY(256))
)
SELECT 'auto_increment_near_end' AS finding,
       CASE WHEN t.AUTO_INCREMENT >= 0.95 * c.largest THEN 'critical' ELSE 'warning' END AS severity,
       CONCAT(t.TABLE_NAME, '.', c.column_name) AS object,
       CONCAT(ROUND(100e0 * t.AUTO_INCREMENT / c.largest, 1), ' % of ', c.column_type) AS value,
       'When the counter reaches the end of its type every insert fails: change the column to a wider type, children''s foreign keys included.' AS detail
  FROM information_schema.TABLES AS t
  JOIN counter AS c ON c.name = CAST(t.TABLE_NAME AS BINARY(256))
  LEFT JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.AUTO_INCREMENT >= 0.8 * c.largest
   AND (:tables IS NULL OR a.name IS NOT NULL)
 ORDER BY t.AUTO_INCREMENT / c.largest DESC

-- space: what free extents alone can show of space inside the tables' files; the largest ten, and all together
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 would lose most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
), slack AS (
    SELECT t.TABLE_NAME, t.DATA_FREE, t.DATA_LENGTH + t.INDEX_LENGTH + t.DATA_FREE AS total,
           ROW_NUMBER() OVER (ORDER BY t.DATA_FREE DESC, t.TABLE_NAME) AS place
      FROM information_schema.TABLES AS t
      LEFT JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
     WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
       AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
       AND t.ENGINE = 'InnoDB' AND @@innodb_file_per_table AND t.DATA_FREE > 67108864
       AND t.DATA_FREE > 0.2 * (t.DATA_LENGTH + t.INDEX_LENGTH)
       AND (:tables IS NULL OR a.name IS NOT NULL)
)
SELECT 'free_space_in_file' AS finding, 'info' AS severity, s.TABLE_NAME AS object,
       CONCAT(ROUND(s.DATA_FREE / 1048576), ' of ', ROUND(s.total / 1048576), ' MB are free extents') AS value,
       'At least this much would go back to the disk: see analyze_table_fragmentation, then optimize_table.' AS detail
  FROM slack AS s
 WHERE s.place <= 10
 UNION ALL
SELECT 'disk_bloat', 'info', NULL, CONCAT(ROUND(SUM(s.DATA_FREE) / 1048576), ' MB in ', COUNT(*), ' tables'),
       'Free extents inside the files of all tables listed: InnoDB uses them again for the same table, and for no other.'
  FROM slack AS s
HAVING COUNT(*) > 0

-- engines: tables that a crash of the server can damage
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 would lose most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
)
SELECT 'not_crash_safe' AS finding, 'info' AS severity, NULL AS object, CONCAT(COUNT(*), ' MyISAM tables') AS value,
       CONCAT('A crash leaves them to be repaired, possibly with lost rows, and they lock as a whole: consider InnoDB. The first: ', MIN(t.TABLE_NAME)) AS detail
  FROM information_schema.TABLES AS t
  LEFT JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.ENGINE = 'MyISAM'
   AND (:tables IS NULL OR a.name IS NOT NULL)
HAVING COUNT(*) > 0

-- settings: what makes maintenance useless or data unsafe
SELECT 'setting' AS finding,
       CASE LOWER(v.VARIABLE_NAME)
            WHEN 'innodb_force_recovery' THEN 'critical'
            WHEN 'innodb_doublewrite' THEN 'warning'
            WHEN 'innodb_checksum_algorithm' THEN 'critical'
            WHEN 'innodb_flush_log_at_trx_commit' THEN 'warning'
            WHEN 'innodb_stats_persistent' THEN 'warning'
            WHEN 'innodb_stats_auto_recalc' THEN 'info'
            WHEN 'innodb_file_per_table' THEN 'warning'
            WHEN 'innodb_optimize_fulltext_only' THEN 'warning' END AS severity,
       LOWER(v.VARIABLE_NAME) AS object,
       v.VARIABLE_VALUE AS value,
       CASE LOWER(v.VARIABLE_NAME)
            WHEN 'innodb_force_recovery' THEN 'The server runs in rescue mode and refuses writes: dump the data, restore into a sound server.'
            WHEN 'innodb_doublewrite' THEN 'A crash in the middle of a page write damages the page for good.'
            WHEN 'innodb_checksum_algorithm' THEN 'Damaged pages go unnoticed: no check of corruption means anything.'
            WHEN 'innodb_flush_log_at_trx_commit' THEN 'A crash loses up to about a second of committed transactions.'
            WHEN 'innodb_stats_persistent' THEN 'ANALYZE holds only until the next restart, and query plans may change by chance.'
            WHEN 'innodb_stats_auto_recalc' THEN 'Statistics are refreshed by ANALYZE only: run batch_update_statistics regularly.'
            WHEN 'innodb_file_per_table' THEN 'New tables go to the shared tablespace, which never gives space back: OPTIMIZE frees nothing on the disk.'
            WHEN 'innodb_optimize_fulltext_only' THEN 'OPTIMIZE only tidies up FULLTEXT indexes and rewrites no table.' END AS detail
  FROM performance_schema.global_variables AS v
 WHERE LOWER(v.VARIABLE_NAME) IN ('innodb_force_recovery', 'innodb_doublewrite', 'innodb_checksum_algorithm', 'innodb_flush_log_at_trx_commit', 'innodb_stats_persistent', 'innodb_stats_auto_recalc', 'innodb_file_per_table', 'innodb_optimize_fulltext_only')
   AND CASE LOWER(v.VARIABLE_NAME)
            WHEN 'innodb_force_recovery' THEN v.VARIABLE_VALUE NOT IN ('0', '')
            WHEN 'innodb_doublewrite' THEN v.VARIABLE_VALUE IN ('OFF', '0')
            WHEN 'innodb_checksum_algorithm' THEN v.VARIABLE_VALUE LIKE '%none%'
            WHEN 'innodb_flush_log_at_trx_commit' THEN v.VARIABLE_VALUE IN ('0', '2')
            WHEN 'innodb_stats_persistent' THEN v.VARIABLE_VALUE IN ('OFF', '0')
            WHEN 'innodb_stats_auto_recalc' THEN v.VARIABLE_VALUE IN ('OFF', '0')
            WHEN 'innodb_file_per_table' THEN v.VARIABLE_VALUE IN ('OFF', '0')
            WHEN 'innodb_optimize_fulltext_only' THEN v.VARIABLE_VALUE IN ('ON', '1') END
 ORDER BY 2, 3

-- transactions: long ones hold back purge and keep every rebuild waiting for its metadata lock
SELECT CASE WHEN x.trx_mysql_thread_id = 0 THEN 'prepared_transaction' ELSE 'long_transaction' END AS finding,
       CASE WHEN TIMESTAMPDIFF(SECOND, x.trx_started, NOW()) >= 3600 OR x.trx_mysql_thread_id = 0 THEN 'critical' ELSE 'warning' END AS severity,
       CASE WHEN x.trx_mysql_thread_id = 0 THEN NULL ELSE CONCAT('connection ', x.trx_mysql_thread_id) END AS object,
       CONCAT(TIMESTAMPDIFF(SECOND, x.trx_started, NOW()), ' s, ', x.trx_rows_locked, ' rows locked, ', x.trx_rows_modified, ' modified') AS value,
       CASE WHEN x.trx_mysql_thread_id = 0 THEN 'A prepared XA transaction whose connection is gone: XA RECOVER lists it, XA COMMIT or XA ROLLBACK ends it.'
            ELSE CONCAT('Of ', COALESCE(p.USER, '?'), '@', COALESCE(p.HOST, '?'), ', ', LOWER(COALESCE(p.COMMAND, 'gone')), ': end it in the application, or KILL it.') END AS detail
  FROM information_schema.INNODB_TRX AS x
  LEFT JOIN information_schema.PROCESSLIST AS p ON p.ID = x.trx_mysql_thread_id
 WHERE x.trx_mysql_thread_id <> CONNECTION_ID()
   AND TIMESTAMPDIFF(SECOND, x.trx_started, NOW()) >= 300
 ORDER BY x.trx_started
