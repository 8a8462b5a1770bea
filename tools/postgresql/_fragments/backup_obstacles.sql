-- What would make a dump of a database incomplete.

-- obstacles: one row for each object that this role cannot read in full; `uncompared` if only fingerprints need it
WITH relation AS (
  SELECT c.oid, c.relkind, c.relnamespace, n.nspname::text AS schema, format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
)
SELECT 'unreadable' AS kind, r.name AS name, r.schema AS schema, current_user::text AS role FROM relation AS r
WHERE NOT (has_schema_privilege(r.relnamespace, 'USAGE')
           AND CASE r.relkind WHEN 'S' THEN has_sequence_privilege(r.oid, 'SELECT') ELSE has_table_privilege(r.oid, 'SELECT') END)
UNION ALL
SELECT 'partial', r.name, r.schema, current_user::text FROM relation AS r WHERE r.relkind <> 'S' AND row_security_active(r.oid)
UNION ALL
SELECT 'large object', format('large object %s', l.oid), NULL, current_user::text FROM pg_largeobject_metadata AS l
WHERE current_setting('is_superuser') <> 'on' AND current_setting('lo_compat_privileges') <> 'on'
  AND NOT pg_has_role(l.lomowner, 'USAGE')
  AND NOT EXISTS (SELECT FROM aclexplode(l.lomacl) AS x WHERE x.privilege_type = 'SELECT'
                  AND (x.grantee = 0 OR pg_has_role(x.grantee, 'USAGE')))
UNION ALL
SELECT 'uncompared', 'pg_largeobject', NULL, current_user::text WHERE EXISTS (SELECT FROM pg_largeobject_metadata)
  AND NOT has_table_privilege('pg_largeobject', 'SELECT')
ORDER BY kind, name
