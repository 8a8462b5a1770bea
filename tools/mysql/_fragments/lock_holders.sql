-- Block of show_lock_holders.

-- holders: one row a session, the oldest transaction first, at most three
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
