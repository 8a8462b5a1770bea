-- name: show_waiters
-- engine: mysql >= 8 with process
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
-- How many sessions wait for row locks of InnoDB that one session holds: batches get smaller when somebody does. Needs SELECT on
-- performance_schema. Without PROCESS nobody can be seen waiting, so there is no such tool then.

-- waiters: sessions that this one blocks
SELECT COUNT(DISTINCT w.REQUESTING_THREAD_ID) AS waiting
  FROM performance_schema.data_lock_waits AS w
  JOIN performance_schema.threads AS b ON b.THREAD_ID = w.BLOCKING_THREAD_ID
 WHERE b.PROCESSLIST_ID = CAST(NULLIF(:session, '') AS UNSIGNED)
