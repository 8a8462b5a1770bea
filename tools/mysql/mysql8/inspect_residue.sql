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
-- List the scratch databases that killed runs of aishell may have left on this server, by the names that aishell gives. A
-- database with a connected session is left out, as far as the account sees other sessions (PROCESS). The tool does not know
-- which run left it, or whether that run can still be resumed. MySQL's databases have no comment that could serve as a mark.

-- databases: scratch databases without a connected session
SELECT 'scratch database' AS kind, s.SCHEMA_NAME AS name, SUM(t.DATA_LENGTH + t.INDEX_LENGTH) AS bytes,
       CAST(MIN(t.CREATE_TIME) AS CHAR) AS since, NULL AS mark
  FROM information_schema.SCHEMATA AS s
  LEFT JOIN information_schema.TABLES AS t ON t.TABLE_SCHEMA = s.SCHEMA_NAME AND t.TABLE_SCHEMA LIKE 'aishell\_scratch\_%'
 WHERE s.SCHEMA_NAME LIKE 'aishell\_scratch\_%'
   AND NOT EXISTS (SELECT 1 FROM information_schema.PROCESSLIST AS p WHERE p.DB = s.SCHEMA_NAME AND p.ID <> CONNECTION_ID())
 GROUP BY s.SCHEMA_NAME
 ORDER BY s.SCHEMA_NAME
