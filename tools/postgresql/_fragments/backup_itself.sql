-- Properties of the database itself, which a dump of its contents does not contain. Its owner and settings are read elsewhere.

-- itself: its connection limit (-1: none), its comment, and its privileges (null: never granted)
SELECT jsonb_build_object(
         'limit', d.datconnlimit,
         'comment', shobj_description(d.oid, 'pg_database'),
         'grants', CASE WHEN d.datacl IS NOT NULL THEN
           (SELECT coalesce(jsonb_agg(jsonb_build_object('role', CASE x.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(x.grantee) END,
                                                         'privilege', x.privilege_type, 'grantable', x.is_grantable)), '[]')
            FROM aclexplode(d.datacl) AS x) END) AS itself
FROM pg_database AS d WHERE d.datname = :database
