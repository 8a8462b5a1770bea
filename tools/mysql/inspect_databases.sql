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
-- List the databases of the server, without system databases, for a target that is a whole server. The server shows an account
-- the databases on which it has any privilege, and all of them if it has SHOW DATABASES.

-- databases: one row per database
SELECT s.SCHEMA_NAME AS `database` FROM information_schema.SCHEMATA AS s
 WHERE s.SCHEMA_NAME NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
 ORDER BY s.SCHEMA_NAME
