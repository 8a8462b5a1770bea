-- A SELECT: why indexes of tables in `named` cannot be checked.

  SELECT n.nspname, n.relname, x.relname::text,
         CASE WHEN am.amname <> 'btree' THEN 'amcheck cannot check a ' || am.amname || ' index' ELSE 'the index is invalid' END
  FROM named AS n
  JOIN pg_index AS i ON i.indrelid = n.oid
  JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
  JOIN pg_am AS am ON am.oid = x.relam
  WHERE n.relpersistence <> 't' AND (am.amname <> 'btree' OR NOT (i.indisvalid AND i.indisready AND i.indislive))
