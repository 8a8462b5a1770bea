-- name: inspect_privileges
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 30
-- idempotent: true
-- returns:
--   role: object(role)
--   owners: rows(owners)
--   tables: rows(tables)
--   extensions: rows(extensions)
--   functions: rows(functions)
--   obstacles: rows(obstacles)
-- examples: [{params: {}}]
--
-- Report what the connected role may do, for `aishell doctor` and for every plan. Says which predefined roles of the server it
-- has, how many of each owner's tables it may read and maintain (as a member of the owner; from version 17 on also by MAINTAIN,
-- which pg_maintain grants), which privileges it lacks on which table, whether it may call the extensions' functions that
-- measure and check, and what would make a dump of the database incomplete. Reads catalogs only and takes no lock.

-- role: one row
SELECT current_user::text AS role_name, current_setting('is_superuser') = 'on' AS superuser,
       current_database()::text AS database,
       (SELECT r.rolsuper OR r.rolreplication FROM pg_roles AS r WHERE r.rolname = current_user) AS replicates,
       (SELECT coalesce(array_agg(r.rolname::text ORDER BY r.rolname), '{}') FROM pg_roles AS r
        WHERE r.oid < 16384 AND r.rolname LIKE 'pg\_%' AND pg_has_role(r.oid, 'USAGE')) AS held

-- owners: one row per owner of tables: how many tables, and what the connected role may do with them
SELECT o.rolname::text AS owner, o.rolsuper AS superuser, pg_has_role(o.oid, 'USAGE') AS held,
       count(*) AS tables,
       count(*) FILTER (WHERE has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')) AS readable,
       -- The word MAINTAIN is an error before version 17: CASE keeps it from being evaluated.
       count(*) FILTER (WHERE has_schema_privilege(c.relnamespace, 'USAGE')
         AND CASE WHEN current_setting('server_version_num')::int >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN')
                  ELSE pg_has_role(o.oid, 'USAGE') END) AS maintainable,
       array_agg(DISTINCT n.nspname::text) AS schemas
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_roles AS o ON o.oid = c.relowner
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
GROUP BY o.oid, o.rolname, o.rolsuper
ORDER BY o.rolname

-- tables: one row per table on which the role lacks privileges; none for a superuser. OWNERSHIP comes only with membership in the
-- owner's role; before version 17 only the owner has MAINTAIN; VACUUM means MAINTAIN or ownership of the database
SELECT n.nspname::text AS schema, c.relname::text AS "table", c.relkind::text AS relkind, o.rolname::text AS owner,
       o.rolsuper AS superuser, e.extension AS extension, l.lacking AS lacking
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_roles AS o ON o.oid = c.relowner
CROSS JOIN LATERAL (SELECT pg_has_role(o.oid, 'USAGE') AS owned, has_schema_privilege(n.oid, 'USAGE') AS reached) AS h
-- The word MAINTAIN is an error before version 17: CASE keeps it from being evaluated.
CROSS JOIN LATERAL (SELECT CASE WHEN current_setting('server_version_num')::int >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN')
                                ELSE h.owned END AS maintained) AS m
CROSS JOIN LATERAL (
  SELECT array_remove(ARRAY[
           CASE WHEN NOT h.reached THEN 'USAGE' END,
           CASE WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'SELECT' END,
           CASE WHEN NOT has_table_privilege(c.oid, 'INSERT') THEN 'INSERT' END,
           CASE WHEN NOT has_table_privilege(c.oid, 'UPDATE') THEN 'UPDATE' END,
           CASE WHEN NOT has_table_privilege(c.oid, 'DELETE') THEN 'DELETE' END,
           CASE WHEN NOT m.maintained THEN 'MAINTAIN' END,
           CASE WHEN NOT m.maintained AND NOT (SELECT pg_has_role(d.datdba, 'USAGE') FROM pg_database AS d
                                               WHERE d.datname = current_database()) THEN 'VACUUM' END,
           CASE WHEN NOT h.owned THEN 'OWNERSHIP' END], NULL) AS lacking) AS l
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                   AND d.deptype = 'e') AS extension) AS e
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
  AND current_setting('is_superuser') <> 'on' AND l.lacking <> '{}'
ORDER BY n.nspname, c.relname

-- extensions: those that measure and check, if the server has their files
SELECT a.name::text AS name, a.installed_version AS installed_version, a.default_version AS default_version
FROM pg_available_extensions AS a
WHERE a.name IN ('pgstattuple', 'amcheck')
ORDER BY a.name

-- functions: their functions that aishell calls, and whether it may, which needs EXECUTE and USAGE on their schema
SELECT e.extname::text AS extension, n.nspname::text AS schema,
       format('%I.%I(%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes)) AS signature,
       m.granted AND m.reached AS allowed, m.granted AS granted, m.reached AS reached,
       has_function_privilege('public', p.oid, 'EXECUTE') AS by_everybody,
       has_schema_privilege('public', n.oid, 'USAGE') AS reached_by_everybody
FROM pg_extension AS e
JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.classid = 'pg_proc'::regclass
JOIN pg_proc AS p ON p.oid = d.objid
JOIN pg_namespace AS n ON n.oid = p.pronamespace
CROSS JOIN LATERAL (SELECT has_function_privilege(p.oid, 'EXECUTE') AS granted, has_schema_privilege(n.oid, 'USAGE') AS reached) AS m
WHERE e.extname IN ('pgstattuple', 'amcheck')
  AND (p.proname IN ('pgstattuple', 'pgstattuple_approx', 'pgstatindex', 'verify_heapam')
       OR p.proname = 'bt_index_check' AND p.pronargs = 2)  -- the variant that also reads the table
ORDER BY e.extname, p.proname, p.pronargs

-- include: backup_obstacles
