-- name: inspect_databases
-- engine: postgresql >= 12
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
-- The databases of the server, for a target that is a whole server. Templates are none. One that takes no connections, or not
-- those of this role, is among them: whoever is to work on it is told so.

-- databases: one row per database
SELECT d.datname AS database FROM pg_database AS d WHERE NOT d.datistemplate ORDER BY d.datname
