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
-- List the databases of the server, for a target that is a whole server. Templates are left out. A database that accepts no
-- connections, or none of this role, is included, so that a plan for it says so.

-- databases: one row per database
SELECT d.datname AS database FROM pg_database AS d WHERE NOT d.datistemplate ORDER BY d.datname
