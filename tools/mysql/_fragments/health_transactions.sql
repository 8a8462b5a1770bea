-- Block of analyze_database_health: transactions; needs PROCESS.

-- transactions: long transactions, which hold back purge and make every rebuild wait for its metadata lock
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
