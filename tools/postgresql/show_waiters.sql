-- name: show_waiters
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 10
-- idempotent: true
-- parameters:
--   session: {type: string, description: process id of the session}
-- returns:
--   waiting: first(waiters.waiting)
-- examples: [{params: {session: '4711'}}]
--
-- Count the sessions that wait for a lock held by one session. Batches become smaller when there are any.

-- waiters: sessions that this one blocks
SELECT count(*) AS waiting
FROM pg_stat_activity AS a
WHERE a.wait_event_type = 'Lock' AND CAST(nullif(:session, '') AS int) = ANY (pg_blocking_pids(a.pid))
