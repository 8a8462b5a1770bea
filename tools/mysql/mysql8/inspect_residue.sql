-- name: inspect_residue
-- engine: mysql >= 8
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- max_execution_time: 30
-- idempotent: true
-- returns:
--   residue: rows(databases)
-- examples: [{params: {}}]
--
-- What runs of aishell that were killed can have left on this server, by the names that aishell gives: scratch databases. A database
-- that a session is in is left out, as far as the account sees other sessions (PROCESS). Whose run it was, and whether that can
-- still be resumed, is not known here. MySQL's databases have no comment that could be a mark.

-- databases: scratch databases that nobody is in
SELECT 'scratch database' AS kind, s.SCHEMA_NAME AS name, SUM(t.DATA_LENGTH + t.INDEX_LENGTH) AS bytes,
       CAST(MIN(t.CREATE_TIME) AS CHAR) AS since, NULL AS mark
  FROM information_schema.SCHEMATA AS s
  LEFT JOIN information_schema.TABLES AS t ON t.TABLE_SCHEMA = s.SCHEMA_NAME AND t.TABLE_SCHEMA LIKE 'aishell\_scratch\_%'
 WHERE s.SCHEMA_NAME LIKE 'aishell\_scratch\_%'
   AND NOT EXISTS (SELECT 1 FROM information_schema.PROCESSLIST AS p WHERE p.DB = s.SCHEMA_NAME AND p.ID <> CONNECTION_ID())
 GROUP BY s.SCHEMA_NAME
 ORDER BY s.SCHEMA_NAME
