-- name: inspect_privileges
-- engine: mysql >= 8, mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 30
-- idempotent: true
-- returns:
--   role: object(role)
--   privileges: rows(privileges)
--   tables: rows(tables)
--   grants: rows(grants)
--   hidden: rows(hidden)
-- examples: [{params: {}}]
--
-- Report what the connected account may do, for `aishell doctor` and for every plan: its privileges on the server, the database
-- and single tables. Of several entries whose pattern matches the database, the server applies the most specific one, not their
-- union: `pattern` names it. Privileges by an active role, or granted to everyone (MariaDB, TO PUBLIC), are in none of the
-- views: `active_role` says that there may be more, and `grants` has the server's own lines. Privileges on single tables are
-- counted as tables. What a dump of the database needs is looked up in the same way as by the dump itself.

-- role: one row
SELECT CURRENT_USER() AS role_name, DATABASE() AS `database`, NULLIF(CURRENT_ROLE(), 'NONE') AS active_role

-- privileges: one row per privilege on the server or on this database
WITH
-- include: account
SELECT u.PRIVILEGE_TYPE AS privilege, 'server' AS place, NULL AS pattern, NULL AS `tables`
  FROM information_schema.USER_PRIVILEGES AS u JOIN me ON u.GRANTEE = me.grantee
 WHERE u.PRIVILEGE_TYPE <> 'USAGE'
UNION ALL
SELECT s.PRIVILEGE_TYPE AS privilege, 'database' AS place, s.TABLE_SCHEMA AS pattern, NULL AS `tables`
  FROM information_schema.SCHEMA_PRIVILEGES AS s JOIN me ON s.GRANTEE = me.grantee
 WHERE DATABASE() LIKE s.TABLE_SCHEMA
UNION ALL
SELECT t.PRIVILEGE_TYPE AS privilege, 'tables' AS place, NULL AS pattern, COUNT(*) AS `tables`
  FROM information_schema.TABLE_PRIVILEGES AS t JOIN me ON t.GRANTEE = me.grantee
 WHERE t.TABLE_SCHEMA = DATABASE()
 GROUP BY t.PRIVILEGE_TYPE
 ORDER BY place, pattern, privilege

-- tables: one row per privilege on a single table of this database
WITH
-- include: account
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`, t.PRIVILEGE_TYPE AS privilege
  FROM information_schema.TABLE_PRIVILEGES AS t JOIN me ON t.GRANTEE = me.grantee
 WHERE t.TABLE_SCHEMA = DATABASE()
 ORDER BY t.TABLE_NAME, t.PRIVILEGE_TYPE

-- grants: one row per line of SHOW GRANTS
SHOW GRANTS

-- hidden: one row per routine that the account can see without its definition
SELECT LOWER(r.ROUTINE_TYPE) AS kind, r.ROUTINE_NAME AS name
  FROM information_schema.ROUTINES AS r
 WHERE r.ROUTINE_SCHEMA = DATABASE() AND r.ROUTINE_DEFINITION IS NULL
 ORDER BY r.ROUTINE_TYPE, r.ROUTINE_NAME
