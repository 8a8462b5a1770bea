-- name: inspect_archive_columns
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 30
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
-- returns:
--   columns: rows(columns)
-- examples: [{params: {schema: public, table: app_log}}]
--
-- List the columns of a table that an archive stores, with the form that preserves each value exactly. The form is `plain` if
-- JSON has a type for the values, and `text` if only PostgreSQL's own text format preserves them (JSON null as opposed to NULL,
-- bounds of arrays, composite types). Generated columns are left out: they are computed again when the rows are loaded.

-- columns: name, type and form of each, in order
SELECT a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type,
       CASE WHEN a.atttypid = ANY (CAST(ARRAY['int2', 'int4', 'int8', 'numeric', 'float4', 'float8', 'bool', 'text', 'varchar',
                                              'bpchar', 'uuid', 'date', 'timestamp', 'timestamptz', 'inet', 'bytea'] AS regtype[]))
            THEN 'plain' ELSE 'text' END AS form
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
