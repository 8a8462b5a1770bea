-- A SELECT: why tables in `named` cannot be checked.

  SELECT n.nspname, n.relname, NULL AS index_name,
         CASE WHEN n.oid IS NULL THEN 'it does not exist'
              WHEN n.relpersistence = 't' THEN 'a temporary table of another session'
              WHEN n.relpersistence = 'u' AND pg_is_in_recovery() THEN 'an unlogged table is empty on a standby'
              WHEN n.relkind IN ('r', 'm') THEN CASE WHEN n.amname <> 'heap'
                THEN 'not stored as a heap: amcheck cannot read it' END
              WHEN n.relkind = 'p' THEN 'a partitioned table holds no rows: name its partitions'
              WHEN n.relkind = 'v' THEN 'a view holds no rows'
              WHEN n.relkind = 'f' THEN 'a foreign table: check it where it lives'
              ELSE 'not a table' END AS reason
  FROM named AS n
