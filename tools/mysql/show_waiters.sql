-- name: show_waiters
-- engine: mysql >= 8 with process, mariadb >= 10.6 with process
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 10
-- idempotent: true
-- parameters:
--   session: {type: string, description: "the connection id"}
-- returns:
--   waiting: first(waiters.waiting)
-- examples: [{params: {session: "42"}}]
--
-- Count the sessions that wait for InnoDB row locks held by one session. Batches become smaller when there are any. Without
-- PROCESS waiting sessions are not visible, so the tool does not exist then. On MySQL it needs SELECT on performance_schema;
-- MariaDB's InnoDB refreshes its view only when it has not been read for a tenth of a second.

-- waiters [mariadb]: sessions that this one blocks
SELECT COUNT(DISTINCT w.requesting_trx_id) AS waiting
  FROM information_schema.INNODB_TRX AS b
  JOIN information_schema.INNODB_LOCK_WAITS AS w ON w.blocking_trx_id = b.trx_id
 WHERE b.trx_mysql_thread_id = CAST(NULLIF(:session, '') AS UNSIGNED)

-- waiters [mysql]: sessions that this one blocks
SELECT COUNT(DISTINCT w.REQUESTING_THREAD_ID) AS waiting
  FROM performance_schema.data_lock_waits AS w
  JOIN performance_schema.threads AS b ON b.THREAD_ID = w.BLOCKING_THREAD_ID
 WHERE b.PROCESSLIST_ID = CAST(NULLIF(:session, '') AS UNSIGNED)
