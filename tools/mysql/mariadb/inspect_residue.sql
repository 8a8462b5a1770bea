-- name: inspect_residue
-- engine: mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- max_execution_time: 30
-- idempotent: true
-- returns:
--   residue: rows(databases, marks, kept)
-- examples: [{params: {}}]
--
-- List what killed runs of aishell may have left on this server, by the names and marks that aishell gives. These are scratch
-- databases, databases that a restore has only begun to fill, the mark of a restored database (its comment), and databases in
-- which an in-place restore keeps what it replaces. A database with a connected session is left out, as far as the account sees
-- other sessions (PROCESS). The tool does not know which run left something, or whether that run can still be resumed.

-- databases: scratch databases without a connected session
SELECT 'scratch database' AS kind, s.SCHEMA_NAME AS name, SUM(t.DATA_LENGTH + t.INDEX_LENGTH) AS bytes,
       CAST(MIN(t.CREATE_TIME) AS CHAR) AS since, MAX(s.SCHEMA_COMMENT) AS mark
  FROM information_schema.SCHEMATA AS s
  LEFT JOIN information_schema.TABLES AS t ON t.TABLE_SCHEMA = s.SCHEMA_NAME AND t.TABLE_SCHEMA LIKE 'aishell\_scratch\_%'
 WHERE s.SCHEMA_NAME LIKE 'aishell\_scratch\_%'
   AND NOT EXISTS (SELECT 1 FROM information_schema.PROCESSLIST AS p WHERE p.DB = s.SCHEMA_NAME AND p.ID <> CONNECTION_ID())
 GROUP BY s.SCHEMA_NAME
 ORDER BY s.SCHEMA_NAME

-- marks: databases whose comment names the step that is restoring or has restored them
SELECT IF(s.SCHEMA_COMMENT LIKE 'aishell restores %', 'unfinished restore', 'restore mark') AS kind, s.SCHEMA_NAME AS name,
       NULL AS bytes, NULL AS since, s.SCHEMA_COMMENT AS mark
  FROM information_schema.SCHEMATA AS s
 WHERE (s.SCHEMA_COMMENT LIKE 'aishell restores %' OR s.SCHEMA_COMMENT LIKE 'restored by aishell %')
   AND s.SCHEMA_NAME NOT LIKE 'aishell\_scratch\_%'
   AND NOT EXISTS (SELECT 1 FROM information_schema.PROCESSLIST AS p WHERE p.DB = s.SCHEMA_NAME AND p.ID <> CONNECTION_ID())
 ORDER BY s.SCHEMA_NAME

-- kept: databases that contain what an in-place restore replaced or was about to replace
SELECT 'kept database' AS kind, t.TABLE_SCHEMA AS name, NULL AS bytes, CAST(t.CREATE_TIME AS CHAR) AS since, NULL AS mark
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_NAME = 'aishell_definitions' AND t.TABLE_TYPE = 'BASE TABLE'
 ORDER BY t.TABLE_SCHEMA
