-- name: show_progress
-- engine: mysql >= 8, mariadb >= 10.6
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
-- Show what another connection is doing. MariaDB: `done` is the percentage that the server reports for the current stage;
-- InnoDB reports none (ALTER … INPLACE, OPTIMIZE, CHECK), and then it is NULL; MyISAM and Aria do. `phase` is the state and, if
-- the statement has several stages, the number of the stage. MySQL reports the state and no percentage, unless the stage
-- instruments of performance_schema are enabled. Shows connections of the same user; those of others need PROCESS.

-- progress [mariadb]: one row while a statement runs
SELECT CONCAT(COALESCE(p.STATE, ''), CASE WHEN p.MAX_STAGE > 1 THEN CONCAT(' (stage ', p.STAGE, ' of ', p.MAX_STAGE, ')') ELSE '' END) AS phase,
       CASE WHEN p.MAX_STAGE > 0 THEN CAST(p.PROGRESS AS DOUBLE) END AS done,
       CASE WHEN p.MAX_STAGE > 0 THEN 100 END AS total,
       CASE WHEN p.MAX_STAGE > 0 THEN 'percent' END AS unit
  FROM information_schema.PROCESSLIST AS p
 WHERE p.ID = CAST(:session AS UNSIGNED) AND p.COMMAND = 'Query'

-- progress [mysql]: one row while a statement runs
SELECT p.STATE AS phase,
       NULL AS done,
       NULL AS total,
       NULL AS unit
  FROM information_schema.PROCESSLIST AS p
 WHERE p.ID = CAST(:session AS UNSIGNED) AND p.COMMAND = 'Query'
