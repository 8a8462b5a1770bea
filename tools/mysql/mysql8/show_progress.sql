-- name: show_progress
-- engine: mysql >= 8
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 10
-- idempotent: true
-- parameters:
--   session: {type: string, description: "the connection id"}
-- returns:
--   progress: rows(progress)
-- examples: [{params: {session: "42"}}]
--
-- What another connection is doing: MySQL tells the state and no percentage, unless the stage instruments of
-- performance_schema are switched on. Sees connections of the same user; those of others need PROCESS.

-- progress: one row while a statement runs
SELECT p.STATE AS phase,
       NULL AS done,
       NULL AS total,
       NULL AS unit
  FROM information_schema.PROCESSLIST AS p
 WHERE p.ID = CAST(:session AS UNSIGNED) AND p.COMMAND = 'Query'
