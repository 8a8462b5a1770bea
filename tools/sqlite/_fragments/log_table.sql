-- Block `find` of the deletions: the table. Batches begin before its first row.

-- find: the table
SELECT 'main' AS "schema", o.name AS "table", NULL AS position, c.page_count * s.page_size AS bytes,
       v.schema_version AS made
  FROM {schema}.sqlite_schema AS o, pragma_page_count AS c, pragma_page_size AS s, pragma_schema_version AS v
 WHERE o.type = 'table' AND o.rootpage <> 0 AND o.name = :table
