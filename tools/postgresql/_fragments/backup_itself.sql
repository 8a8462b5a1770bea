-- What belongs to a database itself, so that no dump of what is in it has it. Its owner and its settings are told elsewhere.

-- itself: how many may connect (-1: any number), its comment, and who may do what with it (null: nobody has ever said)
SELECT jsonb_build_object(
         'limit', d.datconnlimit,
         'comment', shobj_description(d.oid, 'pg_database'),
         'grants', CASE WHEN d.datacl IS NOT NULL THEN
           (SELECT coalesce(jsonb_agg(jsonb_build_object('role', CASE x.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(x.grantee) END,
                                                         'privilege', x.privilege_type, 'grantable', x.is_grantable)), '[]')
            FROM aclexplode(d.datacl) AS x) END) AS itself
FROM pg_database AS d WHERE d.datname = :database
