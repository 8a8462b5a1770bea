-- name: check_table_corruption
-- engine: postgresql >= 12 without amcheck
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 30
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list, description: 'tables as {schema, table}'}
-- returns:
--   corrupted_tables: {from: rows(nothing), description: always empty}
--   checked: {from: rows(nothing), description: always empty}
--   not_checked: {from: rows(not_checked), description: with the reason}
-- examples: [{params: {tables: [{schema: public, table: orders}]}}]
--
-- Report that nothing can be checked, because the extension amcheck is not installed in this database. PostgreSQL checks tables
-- and indexes only with amcheck. `CREATE EXTENSION amcheck` (contrib; by a superuser, or the owner of the database if the
-- extension is trusted) makes the check possible. Until then a complete pg_dump at least reads every row, and
-- analyze_database_health reports the server's count of bad page checksums.

-- not_checked: every named table, with the reason
SELECT w."schema" AS schema, w."table" AS "table",
       'the amcheck extension is not installed' AS reason
FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
ORDER BY w."schema", w."table"

-- nothing: no table was checked
SELECT NULL AS schema, NULL AS "table", NULL AS reason WHERE false
