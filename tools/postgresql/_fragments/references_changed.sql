-- Column `obstacle` of a deletion's `find`: a foreign key that acts on a delete was created or dropped since the rows were archived.

CASE WHEN (SELECT count(*)
           FROM jsonb_to_recordset(CAST(:watched AS jsonb)) AS w("schema" text, "table" text)
           JOIN pg_namespace AS wn ON wn.nspname = w."schema"
           JOIN pg_class AS wc ON wc.relnamespace = wn.oid AND wc.relname = w."table"
           JOIN pg_constraint AS f ON f.confrelid = wc.oid AND f.contype = 'f' AND f.conparentid = 0
           WHERE f.confdeltype IN ('c', 'n', 'd')) <> CAST(:acting AS bigint)
     THEN 'is referenced by other foreign keys than when this was planned' END AS obstacle
