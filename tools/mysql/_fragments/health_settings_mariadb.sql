-- Blocks of analyze_database_health: settings and purge, where MariaDB tells them.

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
            WHEN 'innodb_optimize_fulltext_only' THEN 'warning'
            WHEN 'innodb_defragment' THEN 'warning'
            WHEN 'userstat' THEN 'info' END AS severity,
       LOWER(v.VARIABLE_NAME) AS object,
       v.VARIABLE_VALUE AS value,
       CASE LOWER(v.VARIABLE_NAME)
            WHEN 'innodb_force_recovery' THEN 'The server runs in rescue mode and refuses writes: dump the data, restore into a sound server.'
            WHEN 'innodb_doublewrite' THEN 'A crash in the middle of a page write damages the page for good.'
            WHEN 'innodb_checksum_algorithm' THEN 'Damaged pages go unnoticed: no check of corruption means anything.'
            WHEN 'innodb_flush_log_at_trx_commit' THEN 'A crash loses up to about a second of committed transactions.'
            WHEN 'innodb_stats_persistent' THEN 'ANALYZE holds only until the next restart, and query plans may change by chance.'
            WHEN 'innodb_stats_auto_recalc' THEN 'Statistics are refreshed by ANALYZE only: `aishell run maintenance --type quick` does that; run it regularly.'
            WHEN 'innodb_file_per_table' THEN 'New tables go to the shared tablespace, which never gives space back: OPTIMIZE frees nothing on the disk.'
            WHEN 'innodb_optimize_fulltext_only' THEN 'OPTIMIZE only tidies up FULLTEXT indexes and rewrites no table.'
            WHEN 'innodb_defragment' THEN 'OPTIMIZE defragments in place and gives no space back to the disk.'
            WHEN 'userstat' THEN 'Unused indexes cannot be told: with userstat=ON the server counts which indexes are read (a few per cent of CPU).' END AS detail
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

-- purge: old row versions that wait to be removed; DELETE frees nothing before they are
SELECT 'purge_lagging' AS finding, CASE WHEN CAST(s.VARIABLE_VALUE AS SIGNED) >= 1000000 THEN 'critical' ELSE 'warning' END AS severity,
       NULL AS object, CONCAT('history list length ', s.VARIABLE_VALUE) AS value,
       'Purge is behind, mostly because of a long transaction: reads get slower, undo grows, and OPTIMIZE before it has caught up frees less.' AS detail
  FROM information_schema.GLOBAL_STATUS AS s
 WHERE s.VARIABLE_NAME = 'Innodb_history_list_length' AND CAST(s.VARIABLE_VALUE AS SIGNED) >= 100000
