-- Whether the table is fully attached as a partition (`ok`), and why it cannot be attached again (`reason`).

SELECT coalesce(i.inhparent = p.oid AND NOT i.pending, false) AS ok,
       CASE WHEN c.oid IS NULL THEN 'it was dropped'
            WHEN i.inhparent <> p.oid THEN 'it is a partition of another table now'
            WHEN i.pending THEN 'it is half detached: the server has to finish that first (DETACH PARTITION … FINALIZE)' END AS reason
FROM (SELECT to_regclass(format('%I.%I', CAST(:schema AS text), CAST(:table AS text))) AS oid) AS p
LEFT JOIN pg_class AS c ON c.oid = CAST(:oid AS oid)
  AND c.oid = to_regclass(format('%I.%I', CAST(:partition_schema AS text), CAST(:partition AS text)))
LEFT JOIN LATERAL (SELECT h.inhparent, coalesce(to_jsonb(h) ->> 'inhdetachpending', 'false') = 'true' AS pending
                   FROM pg_inherits AS h WHERE h.inhrelid = c.oid) AS i ON true
