-- The statement that finds the invalid copies which an interrupted REINDEX CONCURRENTLY of this index left.

WITH original AS (
  SELECT n.oid AS namespace, i.indrelid, i.indkey::text AS columns, i.indclass::text AS classes,
         i.indcollation::text AS collations,
         i.indoption::text AS options, i.indisunique, x.relam,
         regexp_replace(i.indexprs::text, ':location -?[0-9]+', '', 'g') AS expressions,
         regexp_replace(i.indpred::text, ':location -?[0-9]+', '', 'g') AS predicate
  FROM pg_namespace AS n
  JOIN pg_class AS x ON x.relnamespace = n.oid AND x.relname = CAST(:index_name AS text)
  JOIN pg_index AS i ON i.indexrelid = x.oid AND i.indrelid = CAST(:table_oid AS oid)
  WHERE n.nspname = CAST(:schema AS text)
), candidate AS (
  SELECT x.relname::text AS name, substring(x.relname::text FROM '_cc(?:new|old)[0-9]*$') AS suffix
  FROM original AS o
  JOIN pg_index AS i ON i.indrelid = o.indrelid AND NOT i.indisvalid
  JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i' AND NOT x.relispartition AND x.relnamespace = o.namespace
    AND x.relam = o.relam
  WHERE i.indkey::text = o.columns AND i.indclass::text = o.classes AND i.indcollation::text = o.collations
    AND i.indoption::text = o.options
    AND i.indisunique = o.indisunique AND NOT i.indisprimary
    AND regexp_replace(i.indexprs::text, ':location -?[0-9]+', '', 'g') IS NOT DISTINCT FROM o.expressions
    AND regexp_replace(i.indpred::text, ':location -?[0-9]+', '', 'g') IS NOT DISTINCT FROM o.predicate
)
SELECT k.name AS leftover
FROM candidate AS k
-- PostgreSQL truncates the index's name at a character boundary so that name and suffix fit (63 bytes): makeObjectName()
WHERE k.name = left(CAST(:index_name AS text),
  (SELECT max(s.length) FROM generate_series(0, char_length(CAST(:index_name AS text))) AS s(length)
                WHERE octet_length(left(CAST(:index_name AS text),
                  s.length)) <= current_setting('max_identifier_length')::int - octet_length(k.suffix))) || k.suffix
ORDER BY k.name
