-- The next statement for a partition (`next`), and why it must not be dropped after all (`reason`): its rows are read, since bounds
-- are not trusted. `counted`: its rows, once it only has to be dropped; at most a million are counted (0.1 s).

SELECT CASE WHEN i.inhrelid IS NULL THEN 'do' WHEN i.pending THEN 'finalize' ELSE 'detach' END AS next,
       CASE WHEN NOT pg_has_role(c.relowner, 'USAGE')
              THEN format('it belongs to %s, and %s is not a member of that role', pg_get_userbyid(c.relowner), current_user)
            WHEN f.newest >= :cutoff
              THEN format('it contains a row of %s, which is not before the cut-off: check it by hand', f.newest)
            -- A range partition has no NULL; a table that was detached may have got some.
            WHEN i.inhrelid IS NULL AND EXISTS (SELECT 1 FROM {partition_schema}.{partition} AS r WHERE r.{date_column} IS NULL)
              THEN 'it contains rows without a date: check it by hand'
            WHEN NOT i.pending AND o.partition IS NOT NULL
              THEN format('%s is half detached, and the server detaches one at a time: ALTER TABLE … DETACH PARTITION … FINALIZE',
                          o.partition) END AS reason,
       CASE WHEN i.inhrelid IS NULL
              THEN (SELECT nullif(count(*), 1000001)
                    FROM (SELECT 1 FROM {partition_schema}.{partition} LIMIT 1000001) AS m) END AS counted
FROM (SELECT max({date_column}) AS newest FROM {partition_schema}.{partition}) AS f
LEFT JOIN pg_class AS c ON c.oid = CAST(:oid AS oid)
  AND c.oid = to_regclass(format('%I.%I', CAST(:partition_schema AS text), CAST(:partition AS text)))
LEFT JOIN LATERAL (SELECT h.inhrelid, h.inhparent, coalesce(to_jsonb(h) ->> 'inhdetachpending', 'false') = 'true' AS pending
                   FROM pg_inherits AS h WHERE h.inhrelid = c.oid) AS i ON true
LEFT JOIN LATERAL (SELECT CAST(CAST(h.inhrelid AS regclass) AS text) AS partition
                   FROM pg_inherits AS h
                   WHERE h.inhparent = i.inhparent AND to_jsonb(h) ->> 'inhdetachpending' = 'true' LIMIT 1) AS o ON true
