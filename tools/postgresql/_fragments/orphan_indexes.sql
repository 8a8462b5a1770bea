-- CTE `orphan`: the leftovers of interrupted rebuilds of the recorded indexes on the table.

orphan AS (
  -- A leftover of aishell's is invalid and named like the copy that PostgreSQL makes when it rebuilds a recorded index: the name,
  -- truncated at a character boundary so that name and suffix fit (63 bytes), as makeObjectName() does.
  SELECT x.oid, x.relname::text AS name, c.oid AS table_oid
  FROM pg_namespace AS n
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relkind = 'r'
  JOIN pg_index AS i ON i.indrelid = c.oid AND NOT i.indisvalid AND NOT i.indisprimary AND NOT i.indisexclusion
  JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i' AND NOT x.relispartition
  CROSS JOIN LATERAL (SELECT substring(x.relname::text FROM '_cc(?:new|old)[0-9]*$') AS suffix) AS k
  JOIN jsonb_array_elements_text(CAST(:recorded AS jsonb)) AS r(name)
    ON x.relname::text = left(r.name, (SELECT max(s.length) FROM generate_series(0, char_length(r.name)) AS s(length)
                WHERE octet_length(left(r.name,
                  s.length)) <= current_setting('max_identifier_length')::int - octet_length(k.suffix))) || k.suffix
  LEFT JOIN pg_class AS y ON y.relnamespace = x.relnamespace AND y.relname::text = r.name
  LEFT JOIN pg_index AS o ON o.indexrelid = y.oid
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text)
    -- while the recorded index exists, the leftover must be a copy of it
    AND (y.oid IS NULL OR o.indrelid = i.indrelid AND y.relam = x.relam AND o.indisunique = i.indisunique
         AND o.indkey::text = i.indkey::text AND o.indclass::text = i.indclass::text
           AND o.indcollation::text = i.indcollation::text
         AND o.indoption::text = i.indoption::text
         AND regexp_replace(o.indexprs::text, ':location -?[0-9]+', '', 'g') IS NOT DISTINCT FROM regexp_replace(i.indexprs::text,
           ':location -?[0-9]+', '', 'g')
         AND regexp_replace(o.indpred::text, ':location -?[0-9]+', '', 'g') IS NOT DISTINCT FROM regexp_replace(i.indpred::text,
           ':location -?[0-9]+', '', 'g'))
    -- and no constraint or partitioned index may depend on it
    AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.conindid = x.oid)
)
