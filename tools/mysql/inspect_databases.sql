-- name: inspect_databases
-- engine: mysql >= 8, mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 30
-- idempotent: true
-- returns:
--   databases: rows(databases)
-- examples: [{params: {}}]
--
-- The databases of the server, for a target that is a whole server, without those of the system. The server shows an account
-- those that it has any privilege on; all of them where it has SHOW DATABASES.

-- databases: one row per database
SELECT s.SCHEMA_NAME AS `database` FROM information_schema.SCHEMATA AS s
 WHERE s.SCHEMA_NAME NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
 ORDER BY s.SCHEMA_NAME
