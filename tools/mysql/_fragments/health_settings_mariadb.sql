-- Blocks of analyze_database_health: settings and purge on MariaDB.

-- settings: settings that defeat maintenance or endanger the data
SELECT 'setting' AS finding,
       CASE LOWER(v.VARIABLE_NAME)
            WHEN 'innodb_force_recovery' THEN 'critical'
            WHEN 'innodb_doublewrite' THEN 'warning'
            WHEN 'innodb_checksum_algorithm' THEN 'critical'
            WHEN 'innodb_flush_log_at_trx_commit' THEN 'warning'
            WHEN 'innodb_stats_persistent' THEN 'warning'
            WHEN 'innodb_stats_auto_recalc' THEN 'info'
            WHEN 'innodb_file_per_table' THEN 'warning'
            WHEN 'innodb_optimize_fulltext_only' THEN 'warning'
            WHEN 'innodb_defragment' THEN 'warning'
            WHEN 'userstat' THEN 'info' END AS severity,
       LOWER(v.VARIABLE_NAME) AS object,
       v.VARIABLE_VALUE AS value,
       CASE LOWER(v.VARIABLE_NAME)
            WHEN 'innodb_force_recovery' THEN 'The server runs in recovery mode and refuses writes: dump the data and restore it into a sound server.'
            WHEN 'innodb_doublewrite' THEN 'A crash in the middle of a page write damages the page permanently.'
            WHEN 'innodb_checksum_algorithm' THEN 'Damaged pages go unnoticed, so checks for corruption prove nothing.'
            WHEN 'innodb_flush_log_at_trx_commit' THEN 'A crash loses up to about a second of committed transactions.'
            WHEN 'innodb_stats_persistent' THEN 'Statistics last only until the next restart, and query plans may change by chance.'
            WHEN 'innodb_stats_auto_recalc' THEN 'Only ANALYZE updates statistics: run `aishell run maintenance --type quick` regularly.'
            WHEN 'innodb_file_per_table' THEN 'New tables are created in the shared tablespace, which never shrinks: OPTIMIZE frees nothing on the disk.'
            WHEN 'innodb_optimize_fulltext_only' THEN 'OPTIMIZE only maintains FULLTEXT indexes and rewrites no table.'
            WHEN 'innodb_defragment' THEN 'OPTIMIZE defragments in place and returns no space to the disk.'
            WHEN 'userstat' THEN 'Unused indexes are not known: with userstat=ON the server counts reads of each index (for a few per cent of CPU).' END AS detail
  FROM information_schema.GLOBAL_VARIABLES AS v
 WHERE LOWER(v.VARIABLE_NAME) IN ('innodb_force_recovery', 'innodb_doublewrite', 'innodb_checksum_algorithm', 'innodb_flush_log_at_trx_commit', 'innodb_stats_persistent', 'innodb_stats_auto_recalc', 'innodb_file_per_table', 'innodb_optimize_fulltext_only', 'innodb_defragment', 'userstat')
   AND CASE LOWER(v.VARIABLE_NAME)
            WHEN 'innodb_force_recovery' THEN v.VARIABLE_VALUE NOT IN ('0', '')
            WHEN 'innodb_doublewrite' THEN v.VARIABLE_VALUE IN ('OFF', '0')
            WHEN 'innodb_checksum_algorithm' THEN v.VARIABLE_VALUE LIKE '%none%'
            WHEN 'innodb_flush_log_at_trx_commit' THEN v.VARIABLE_VALUE IN ('0', '2')
            WHEN 'innodb_stats_persistent' THEN v.VARIABLE_VALUE IN ('OFF', '0')
            WHEN 'innodb_stats_auto_recalc' THEN v.VARIABLE_VALUE IN ('OFF', '0')
            WHEN 'innodb_file_per_table' THEN v.VARIABLE_VALUE IN ('OFF', '0')
            WHEN 'innodb_optimize_fulltext_only' THEN v.VARIABLE_VALUE IN ('ON', '1')
            WHEN 'innodb_defragment' THEN v.VARIABLE_VALUE IN ('ON', '1')
            WHEN 'userstat' THEN v.VARIABLE_VALUE IN ('OFF', '0') END
 ORDER BY 2, 3

-- purge: old row versions not yet removed; until then DELETE frees no space
SELECT 'purge_lagging' AS finding, CASE WHEN CAST(s.VARIABLE_VALUE AS SIGNED) >= 1000000 THEN 'critical' ELSE 'warning' END AS severity,
       NULL AS object, CONCAT('history list length ', s.VARIABLE_VALUE) AS value,
       'Purge lags behind, usually because of a long transaction: reads become slower, undo grows, and OPTIMIZE frees less until purge has caught up.' AS detail
  FROM information_schema.GLOBAL_STATUS AS s
 WHERE s.VARIABLE_NAME = 'Innodb_history_list_length' AND CAST(s.VARIABLE_VALUE AS SIGNED) >= 100000
