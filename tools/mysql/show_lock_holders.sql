-- name: show_lock_holders
-- engine: mysql >= 8 with process, mariadb >= 10.6 with process
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 10
-- idempotent: true
-- parameters:
--   schema: {type: string}
--   table: {type: string}
-- returns:
--   holders: rows(holders)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- List the sessions that may hold a lock on a table: those in a transaction, and those whose statement names it. Which of them
-- holds the metadata lock is shown on MySQL by performance_schema.metadata_locks, and on MariaDB only with the plugin
-- metadata_lock_info.

-- holders: one row per session, the oldest transaction first, at most three
SELECT CAST(p.ID AS CHAR) AS session,
       CONCAT(p.USER, '@', p.HOST) AS who,
       CASE WHEN x.trx_started IS NULL THEN 'its statement' ELSE 'its transaction' END AS modes,
       LOWER(p.COMMAND) AS doing,
       TIMESTAMPDIFF(SECOND, COALESCE(x.trx_started, NOW() - INTERVAL p.TIME SECOND), NOW()) AS seconds
  FROM information_schema.PROCESSLIST AS p
  LEFT JOIN information_schema.INNODB_TRX AS x ON x.trx_mysql_thread_id = p.ID
 WHERE p.ID <> CONNECTION_ID()
   AND (x.trx_started IS NOT NULL OR p.COMMAND = 'Query' AND LOCATE(LOWER(:table), LOWER(p.INFO)) > 0 AND (p.DB IS NULL OR p.DB = :schema))
 ORDER BY seconds DESC, p.ID
 LIMIT 3
