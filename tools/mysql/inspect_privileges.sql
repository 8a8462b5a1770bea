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
-- examples: [{params: {}}]
--
-- What the connected account may do here, for `aishell doctor`: its privileges on the server and on the connected database.
-- Of several entries whose pattern fits the database the server takes the most exact one, not their sum: `pattern` tells.
-- What it has by an active role is shown to nobody without rights on the mysql schema: `active_role` says that there may be
-- more. Privileges on single tables are counted as tables.

-- role: one row
SELECT CURRENT_USER() AS role_name, DATABASE() AS `database`, NULLIF(CURRENT_ROLE(), 'NONE') AS active_role

-- privileges: one row per privilege on the server or on this database
WITH me AS (
    -- The account as the server writes it; user names may hold an @.
    SELECT CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH(REPLACE(CURRENT_USER(), '@', ''))),
                  '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''') AS grantee
)
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
