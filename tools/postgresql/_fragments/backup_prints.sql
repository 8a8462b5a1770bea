-- Blocks that fingerprint a database, when it is backed up and when it has been restored.

-- isolation: every statement of the session sees the same snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- forms: the same value is the same text on any server, no row is hidden, and the session may wait for pg_dump; `workers` help it
-- (if the server has the setting, from version 14 on, it checks that its client is still connected)
SELECT set_config(s.name, v.value, true)
FROM (VALUES ('search_path', ''), ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'postgres'), ('TimeZone', 'UTC'),
             ('extra_float_digits', '3'), ('bytea_output', 'hex'), ('xmlbinary', 'base64'), ('lc_monetary', 'C'),
             ('quote_all_identifiers', 'off'), ('row_security', 'off'), ('idle_in_transaction_session_timeout', '0'),
             ('max_parallel_workers_per_gather', CAST(:workers AS text)), ('client_connection_check_interval', '2000'))
     AS v(name, value)
JOIN pg_settings AS s ON s.name = v.name

-- savepoint: locks taken after this are released again, object by object
SAVEPOINT object

-- rollback: to the savepoint
ROLLBACK TO SAVEPOINT object

-- definitions: every object as text
-- `loose` is the server's text of expressions. It enters the fingerprint without casts and parentheses: CHECK (x IN ('a', 'b'))
-- on a varchar is restored from a dump with its casts in other places. Left out: subscriptions, which are not restored, options of
-- user mappings, which are secret, members of extensions, and where objects are stored.
WITH member AS MATERIALIZED (
  SELECT d.classid, d.objid FROM pg_depend AS d WHERE d.deptype = 'e'
), space AS MATERIALIZED (
  SELECT n.oid FROM pg_namespace AS n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), relation AS MATERIALIZED (
  SELECT c.*, c.oid::regclass::text AS name FROM pg_class AS c JOIN space AS s ON s.oid = c.relnamespace
  WHERE c.relpersistence <> 't' AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
), field AS MATERIALIZED (
  -- By name: a restored child table can have its columns in another order.
  SELECT a.attrelid, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS in_order,
         string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                              CASE WHEN a.attnotnull THEN 'NOT NULL' END, nullif(a.attidentity::text, ''),
                              nullif(a.attgenerated::text, ''), a.attstorage, nullif(to_jsonb(a) ->> 'attcompression', ''),
                              coalesce(a.attstattarget, -1), quote_ident(l.collname), a.attoptions, a.attfdwoptions,
                              pg_get_expr(d.adbin, d.adrelid)), E'\n' ORDER BY a.attname) AS text
  FROM pg_attribute AS a JOIN relation AS r ON r.oid = a.attrelid AND r.relkind IN ('r', 'p', 'f', 'v', 'm', 'c')
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
  WHERE a.attnum > 0 AND NOT a.attisdropped
  GROUP BY a.attrelid
), other(classid, objid, exact, loose) AS (
  SELECT 'pg_namespace'::regclass, s.oid, NULL, NULL FROM space AS s
  UNION ALL SELECT 'pg_extension'::regclass, e.oid, e.extnamespace::regnamespace::text, NULL
  FROM pg_extension AS e WHERE e.extname <> 'plpgsql'
  UNION ALL SELECT 'pg_operator'::regclass, o.oid, o.oprcode::regprocedure::text, NULL FROM pg_operator AS o
  UNION ALL SELECT 'pg_opclass'::regclass, o.oid, format_type(o.opckeytype, NULL), NULL FROM pg_opclass AS o
  UNION ALL SELECT 'pg_opfamily'::regclass, o.oid, NULL, NULL FROM pg_opfamily AS o
  UNION ALL SELECT 'pg_cast'::regclass, c.oid, concat_ws(' ', c.castfunc::regprocedure, c.castcontext, c.castmethod), NULL
  FROM pg_cast AS c
  UNION ALL SELECT 'pg_collation'::regclass, l.oid, concat_ws(' ', l.collprovider, l.collcollate, l.collctype), NULL
  FROM pg_collation AS l
  UNION ALL SELECT 'pg_conversion'::regclass, c.oid, c.conproc::regprocedure::text, NULL FROM pg_conversion AS c
  UNION ALL SELECT 'pg_ts_config'::regclass, c.oid,
    (SELECT string_agg(concat_ws(' ', m.maptokentype, m.mapseqno, m.mapdict::regdictionary), ',' ORDER BY m.maptokentype, m.mapseqno)
     FROM pg_ts_config_map AS m WHERE m.mapcfg = c.oid), NULL FROM pg_ts_config AS c
  UNION ALL SELECT 'pg_ts_dict'::regclass, d.oid, d.dictinitoption, NULL FROM pg_ts_dict AS d
  UNION ALL SELECT 'pg_ts_parser'::regclass, p.oid, NULL, NULL FROM pg_ts_parser AS p
  UNION ALL SELECT 'pg_ts_template'::regclass, t.oid, NULL, NULL FROM pg_ts_template AS t
  UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, concat_ws(' ', w.fdwhandler::regproc, w.fdwoptions), NULL
  FROM pg_foreign_data_wrapper AS w
  UNION ALL SELECT 'pg_foreign_server'::regclass, s.oid, concat_ws(' ', s.srvtype, s.srvversion, s.srvoptions), NULL
  FROM pg_foreign_server AS s
  UNION ALL SELECT 'pg_user_mapping'::regclass, u.umid, NULL, NULL FROM pg_user_mappings AS u
  UNION ALL SELECT 'pg_publication'::regclass, p.oid, (to_jsonb(p) - 'oid' - 'pubowner')::text, NULL FROM pg_publication AS p
  UNION ALL SELECT 'pg_publication_rel'::regclass, p.oid, NULL, NULL FROM pg_publication_rel AS p
  UNION ALL SELECT 'pg_statistic_ext'::regclass, x.oid, coalesce(to_jsonb(x) ->> 'stxstattarget', '-1'), pg_get_statisticsobjdef(x.oid)
  FROM pg_statistic_ext AS x
  UNION ALL SELECT 'pg_transform'::regclass, t.oid, concat_ws(' ', t.trffromsql::regproc, t.trftosql::regproc), NULL
  FROM pg_transform AS t
  UNION ALL SELECT 'pg_am'::regclass, a.oid, a.amhandler::regproc::text, NULL FROM pg_am AS a
  UNION ALL SELECT 'pg_language'::regclass, l.oid, l.lanplcallfoid::regproc::text, NULL FROM pg_language AS l
  UNION ALL SELECT 'pg_event_trigger'::regclass, e.oid, concat_ws(' ', e.evtevent, e.evtfoid::regproc, e.evtenabled, e.evttags), NULL
  FROM pg_event_trigger AS e
), found(kind, name, exact, loose) AS (
  SELECT CASE r.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type'
         ELSE 'table' END, r.name,
         concat_ws(E'\n', r.relkind, r.relpersistence, r.reloptions, r.relrowsecurity, r.relforcerowsecurity, r.relreplident,
           (SELECT t.reloptions FROM pg_class AS t WHERE t.oid = r.reltoastrelid),
           (SELECT a.amname FROM pg_am AS a WHERE a.oid = r.relam AND r.relkind = 'r'),
           CASE WHEN r.reloftype <> 0 THEN format_type(r.reloftype, NULL) END,
           CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
           (SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno) FROM pg_inherits AS i WHERE i.inhrelid = r.oid),
           (SELECT concat_ws(' ', s.srvname, f.ftoptions) FROM pg_foreign_table AS f
            JOIN pg_foreign_server AS s ON s.oid = f.ftserver WHERE f.ftrelid = r.oid),
           CASE r.relkind WHEN 'm' THEN r.relispopulated::text WHEN 'c' THEN f.in_order END),
         concat_ws(E'\n', f.text, pg_get_expr(r.relpartbound, r.oid),
           CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END)
  FROM relation AS r LEFT JOIN field AS f ON f.attrelid = r.oid WHERE r.relkind IN ('r', 'p', 'f', 'v', 'm', 'c')
  UNION ALL
  -- pg_dump leaves invalid indexes out
  SELECT 'index', i.indexrelid::regclass::text, concat_ws(' ', i.indisclustered, i.indisreplident,
           (SELECT h.inhparent::regclass::text FROM pg_inherits AS h WHERE h.inhrelid = i.indexrelid)), pg_get_indexdef(i.indexrelid)
  FROM pg_index AS i JOIN relation AS r ON r.oid = i.indrelid WHERE r.relkind = 'p' OR (i.indisvalid AND i.indisready)
  UNION ALL
  -- NOT NULL is part of the column; the server creates a foreign key's copies for partitions, with names of its own
  SELECT 'constraint', format('%s %I', r.name, c.conname), NULL, pg_get_constraintdef(c.oid)
  FROM pg_constraint AS c JOIN relation AS r ON r.oid = c.conrelid
  WHERE c.contype IN ('c', 'f', 'p', 'u', 'x') AND NOT (c.contype = 'f' AND c.conparentid <> 0)
  UNION ALL
  SELECT 'constraint', format('%s %I', t.oid::regtype, c.conname), NULL, pg_get_constraintdef(c.oid)
  FROM pg_constraint AS c JOIN pg_type AS t ON t.oid = c.contypid JOIN space AS s ON s.oid = t.typnamespace
  WHERE c.contype = 'c' AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
  UNION ALL
  SELECT 'trigger', format('%s %I', r.name, t.tgname), t.tgenabled::text, pg_get_triggerdef(t.oid)
  FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
  UNION ALL
  SELECT 'rule', format('%s %I', r.name, w.rulename), w.ev_enabled::text, pg_get_ruledef(w.oid)
  FROM pg_rewrite AS w JOIN relation AS r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'
  UNION ALL
  SELECT 'policy', format('%s %I', r.name, p.polname), concat_ws(' ', p.polcmd, p.polpermissive,
           (SELECT string_agg(CASE u.role WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(u.role)::text END, ',' ORDER BY 1)
            FROM unnest(p.polroles) AS u(role))),
         concat_ws(E'\n', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
  FROM pg_policy AS p JOIN relation AS r ON r.oid = p.polrelid
  UNION ALL
  SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, p.oid::regprocedure::text,
         CASE WHEN p.prokind <> 'a' THEN p.prosrc END,
         CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE
           (SELECT concat_ws(' ', pg_get_function_arguments(p.oid), a.aggkind, a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn,
                             a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn, a.aggsortop::regoperator,
                             format_type(a.aggtranstype, NULL), a.agginitval, a.aggminitval, p.proparallel)
            FROM pg_aggregate AS a WHERE a.aggfnoid = p.oid) END
  FROM pg_proc AS p JOIN space AS s ON s.oid = p.pronamespace
  WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
  UNION ALL
  SELECT 'type', t.oid::regtype::text,
         concat_ws(E'\n', t.typtype, CASE t.typtype
           WHEN 'e' THEN (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum AS e
                          WHERE e.enumtypid = t.oid)
           WHEN 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod), CASE WHEN t.typnotnull THEN 'NOT NULL' END,
                                   (SELECT quote_ident(l.collname) FROM pg_collation AS l WHERE l.oid = t.typcollation))
           WHEN 'r' THEN (SELECT concat_ws(' ', format_type(g.rngsubtype, NULL), g.rngcanonical, g.rngsubdiff) FROM pg_range AS g
                          WHERE g.rngtypid = t.oid)
           ELSE concat_ws(' ', t.typinput, t.typoutput, t.typlen) END),
         t.typdefault
  FROM pg_type AS t JOIN space AS s ON s.oid = t.typnamespace
  WHERE (t.typtype IN ('d', 'e', 'r') OR (t.typtype = 'b' AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.typarray = t.oid)))
    AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
  UNION ALL
  SELECT 'sequence', r.name,
         concat_ws(' ', format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement, q.seqmax, q.seqmin, q.seqcache, q.seqcycle,
           (SELECT format('%s.%I', d.refobjid::regclass, a.attname) FROM pg_depend AS d
            JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
              AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)), NULL
  FROM pg_sequence AS q JOIN relation AS r ON r.oid = q.seqrelid
  UNION ALL
  SELECT i.type, i.identity, o.exact, o.loose
  FROM other AS o CROSS JOIN LATERAL pg_identify_object(o.classid, o.objid, 0) AS i
  WHERE (o.objid >= 16384 OR o.classid = 'pg_namespace'::regclass)
    AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = o.classid AND m.objid = o.objid)
)
SELECT f.kind AS kind, f.name AS name,
       encode(sha256(convert_to(concat_ws(E'\n\n', f.exact, regexp_replace(f.loose,
         '::("([^"]|"")+"|[a-z_][\w$]*)([.]("([^"]|"")+"|[\w$]+))?( varying| precision)?([(][0-9,]+[)])?'
         '( with(out)? time zone)?(\[\])*|[()]', '', 'g')), 'UTF8')), 'hex') AS hash
FROM found AS f

-- privileges: who owns what, and who may do what with it, whatever the order it was granted in; and the database's settings
WITH member AS MATERIALIZED (
  SELECT d.classid, d.objid FROM pg_depend AS d WHERE d.deptype = 'e'
), space AS MATERIALIZED (
  SELECT n.oid, n.nspowner, n.nspacl FROM pg_namespace AS n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), held(classid, objid, part, owner, acl) AS (
  SELECT 'pg_class'::regclass, c.oid, 0, c.relowner,
         coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner))
  FROM pg_class AS c JOIN space AS s ON s.oid = c.relnamespace
  WHERE c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  UNION ALL
  SELECT 'pg_class'::regclass, a.attrelid, a.attnum, NULL, a.attacl
  FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN space AS s ON s.oid = c.relnamespace
  WHERE cardinality(a.attacl) > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT 'pg_proc'::regclass, p.oid, 0, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
  FROM pg_proc AS p JOIN space AS s ON s.oid = p.pronamespace
  UNION ALL
  SELECT 'pg_type'::regclass, t.oid, 0, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
  FROM pg_type AS t JOIN space AS s ON s.oid = t.typnamespace LEFT JOIN pg_class AS c ON c.oid = t.typrelid
  WHERE t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c'
  UNION ALL
  SELECT 'pg_namespace'::regclass, s.oid, 0, s.nspowner, coalesce(s.nspacl, acldefault('n', s.nspowner)) FROM space AS s
  UNION ALL
  SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, 0, w.fdwowner, coalesce(w.fdwacl, acldefault('F', w.fdwowner))
  FROM pg_foreign_data_wrapper AS w
  UNION ALL
  SELECT 'pg_foreign_server'::regclass, s.oid, 0, s.srvowner, coalesce(s.srvacl, acldefault('S', s.srvowner))
  FROM pg_foreign_server AS s
  UNION ALL
  SELECT 'pg_largeobject'::regclass, l.oid, 0, l.lomowner, coalesce(l.lomacl, acldefault('L', l.lomowner))
  FROM pg_largeobject_metadata AS l
  UNION ALL
  SELECT 'pg_default_acl'::regclass, d.oid, 0, d.defaclrole, d.defaclacl FROM pg_default_acl AS d
  UNION ALL
  SELECT 'pg_publication'::regclass, p.oid, 0, p.pubowner, NULL FROM pg_publication AS p
  UNION ALL
  SELECT 'pg_event_trigger'::regclass, e.oid, 0, e.evtowner, NULL FROM pg_event_trigger AS e
)
SELECT 'privileges' AS kind, concat_ws(' ', 'of', i.type, i.identity) AS name,
       encode(sha256(convert_to(concat_ws(E'\n', pg_get_userbyid(h.owner), g.granted), 'UTF8')), 'hex') AS hash
FROM held AS h CROSS JOIN LATERAL pg_identify_object(h.classid, h.objid, h.part) AS i
CROSS JOIN LATERAL (
  SELECT string_agg(t.text, E'\n' ORDER BY t.text COLLATE "C") AS granted
  FROM (SELECT concat_ws(' ', x.privilege_type, x.is_grantable,
                         CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END) AS text
        FROM aclexplode(h.acl) AS x) AS t
) AS g
WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = h.classid AND m.objid = h.objid)
UNION ALL
SELECT 'setting', concat_ws(' ', 'of', CASE x.setrole WHEN 0 THEN 'the database' ELSE quote_ident(pg_get_userbyid(x.setrole)) END),
       encode(sha256(convert_to(string_agg(c.setting, E'\n' ORDER BY c.setting COLLATE "C"), 'UTF8')), 'hex')
FROM pg_db_role_setting AS x JOIN pg_database AS d ON d.oid = x.setdatabase CROSS JOIN LATERAL unnest(x.setconfig) AS c(setting)
WHERE d.datname = current_database() AND c.setting !~ '^aishell[.]'  -- aishell's own, on restored databases
GROUP BY x.setrole

-- comments: on objects that do not belong to an extension
SELECT 'comment' AS kind, concat_ws(' ', 'on', i.type, i.identity) AS name,
       encode(sha256(convert_to(d.description, 'UTF8')), 'hex') AS hash
FROM pg_description AS d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
WHERE (d.objoid >= 16384 OR (d.classoid = 'pg_namespace'::regclass AND i.identity = 'public'))
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')

-- tables: those that can have rows, the largest first; an unlogged table is empty on a standby, and in a dump from there
SELECT n.nspname AS schema, c.relname AS "table", c.oid::regclass::text AS name,
       (SELECT coalesce(array_agg(a.attname::text ORDER BY a.attname), '{}') FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v') AS columns,
       c.relpersistence = 'u' AND pg_is_in_recovery() AS empty
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relpages DESC, c.oid

-- rows: their number, and the sum of their hashes, independent of their order
-- (columns by name, see `definitions`; a whole row as text distinguishes NULL from '', and NaN is NaN)
SELECT count(*) AS rows, coalesce(sum(hashtextextended(CAST(ROW({columns}) AS text) COLLATE "C", 0)), 0)::text AS hash
FROM ONLY {schema}.{table}

-- sequences: all whose value a dump sets
SELECT n.nspname AS schema, c.relname AS sequence, c.oid::regclass::text AS name
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')

-- sequence_value: the current value of one
SELECT last_value AS value, is_called AS called FROM {schema}.{sequence}

-- large_objects: their number
SELECT count(*) AS rows FROM pg_largeobject_metadata

-- large_object_pages: their contents, and where each ends
-- Trailing zeros of a page do not count: if a sparse object has no page, the restored one has a page of zeros.
SELECT concat_ws(' ',
  (SELECT sum(hashtextextended(concat_ws(' ', l.loid, l.pageno, p.text), 0))
   FROM pg_largeobject AS l CROSS JOIN LATERAL (SELECT rtrim(encode(l.data, 'hex'), '0') AS text) AS p WHERE p.text <> ''),
  (SELECT sum(hashtextextended(concat_ws(' ', l.loid, l.pageno, octet_length(l.data)), 0))
   FROM (SELECT e.loid, max(e.pageno) AS pageno FROM pg_largeobject AS e GROUP BY e.loid) AS e
   JOIN pg_largeobject AS l ON l.loid = e.loid AND l.pageno = e.pageno)) AS hash
