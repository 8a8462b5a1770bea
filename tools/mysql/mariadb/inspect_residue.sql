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
-- What runs of aishell that were killed can have left on this server, by the names and marks that aishell gives: scratch databases,
-- databases that a restore has only begun to fill, the mark of a restored one (its comment), and where a restore in place keeps what it
-- replaces. A database that a session is in is left out, as far as the account sees other sessions (PROCESS). Whose run it was, and
-- whether that can still be resumed, is not known here.

-- databases: scratch databases that nobody is in
SELECT 'scratch database' AS kind, s.SCHEMA_NAME AS name, SUM(t.DATA_LENGTH + t.INDEX_LENGTH) AS bytes,
       CAST(MIN(t.CREATE_TIME) AS CHAR) AS since, MAX(s.SCHEMA_COMMENT) AS mark
  FROM information_schema.SCHEMATA AS s
  LEFT JOIN information_schema.TABLES AS t ON t.TABLE_SCHEMA = s.SCHEMA_NAME AND t.TABLE_SCHEMA LIKE 'aishell\_scratch\_%'
 WHERE s.SCHEMA_NAME LIKE 'aishell\_scratch\_%'
   AND NOT EXISTS (SELECT 1 FROM information_schema.PROCESSLIST AS p WHERE p.DB = s.SCHEMA_NAME AND p.ID <> CONNECTION_ID())
 GROUP BY s.SCHEMA_NAME
 ORDER BY s.SCHEMA_NAME

-- marks: databases whose comment tells which step restores or has restored them
SELECT IF(s.SCHEMA_COMMENT LIKE 'aishell restores %', 'unfinished restore', 'restore mark') AS kind, s.SCHEMA_NAME AS name,
       NULL AS bytes, NULL AS since, s.SCHEMA_COMMENT AS mark
  FROM information_schema.SCHEMATA AS s
 WHERE (s.SCHEMA_COMMENT LIKE 'aishell restores %' OR s.SCHEMA_COMMENT LIKE 'restored by aishell %')
   AND s.SCHEMA_NAME NOT LIKE 'aishell\_scratch\_%'
   AND NOT EXISTS (SELECT 1 FROM information_schema.PROCESSLIST AS p WHERE p.DB = s.SCHEMA_NAME AND p.ID <> CONNECTION_ID())
 ORDER BY s.SCHEMA_NAME

-- kept: databases that hold what a restore in place replaced, or was to
SELECT 'kept database' AS kind, t.TABLE_SCHEMA AS name, NULL AS bytes, CAST(t.CREATE_TIME AS CHAR) AS since, NULL AS mark
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_NAME = 'aishell_definitions' AND t.TABLE_TYPE = 'BASE TABLE'
 ORDER BY t.TABLE_SCHEMA
