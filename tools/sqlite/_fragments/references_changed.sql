-- Column `obstacle` of a deletion's `find`: a foreign key that acts on a delete was created or dropped since the rows were archived.

CASE WHEN (SELECT count(*)
             FROM main.sqlite_schema AS o CROSS JOIN pragma_foreign_key_list(o.name, 'main') AS f
            WHERE o.type = 'table' AND o.rootpage <> 0 AND f.seq = 0 AND lower(f.on_delete) IN ('cascade', 'set null', 'set default')
              AND lower(f."table") IN (SELECT lower(json_extract(w.value, '$.table')) FROM json_each(:watched) AS w)) <> :acting
     THEN 'is referenced by other foreign keys than when this was planned' END AS obstacle
