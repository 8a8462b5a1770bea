-- name: check_table_corruption
-- engine: sqlite >= 3.35
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: each
-- transaction: none
-- lock: none
-- max_execution_time: 7200
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list}
-- returns:
--   corrupted_tables: rows(corrupted)
--   checked: rows(verify)
--   not_checked: rows(skipped, failed, report)
-- examples: [{params: {tables: [{schema: main, table: orders}]}}]
--
-- Check the named tables and their indexes with integrity_check. It checks page structure, the order of keys, NOT NULL, UNIQUE
-- and CHECK constraints, and that every row is in every index (quick_check omits the last and misses a stale index). Reads all
-- their pages, about 0.5 GB/s; in WAL mode writers continue, otherwise their commits wait. A virtual table is checked by way of
-- the tables that hold its data. Damage outside the tables (free list, orphaned pages) is found by analyze_database_health with
-- check_corruption.
--
-- Rows that violate a foreign key are counted in `checked` as foreign_key_violations. They are wrong but not damage, and
-- common, because SQLite enforces foreign keys only on connections that enable them.

-- find: the named tables that have pages, and the shadow tables of the named virtual tables
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without one SQLite builds no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
),
-- include: shadow_tables
SELECT 'main' AS "schema", o.name AS "table"
  FROM main.sqlite_schema AS o
 WHERE o.type = 'table' AND o.rootpage <> 0
   AND (o.name IN (SELECT name FROM named WHERE "schema" = 'main')
        OR o.name IN (SELECT name FROM shadow WHERE owner IN (SELECT name FROM named WHERE "schema" = 'main')))
 ORDER BY o.name

-- do: the first problem
-- Only the first, because the check stops with a bare "malformed" at the rows of a damaged page and its earlier results are
-- lost. It checks the pages first. The condition reads no row: it raises an error if the table has been dropped meanwhile.
-- Older versions (3.40) take a name that begins with a digit for a limit on the number of problems and check the whole file.
SELECT CASE WHEN integrity_check = 'ok' THEN NULL
            WHEN :table GLOB '[0-9+-]*' THEN 'somewhere in the file, perhaps not in this table: ' || integrity_check
            ELSE integrity_check END AS problem
  FROM pragma_integrity_check(:table)
 WHERE NOT EXISTS (SELECT 1 FROM {schema}.{table} LIMIT 0)
 LIMIT 1

-- verify: the table was checked; how many of its rows lack a parent row
WITH key AS MATERIALIZED (
    -- foreign_key_check raises "foreign key mismatch" for the whole table when a parent lacks the referenced key
    SELECT f.id, f."table" AS parent, count(*) AS columns, json_group_array(lower(coalesce(f."to", ''))) AS referred,
           max(f."to" IS NULL) AS implicit
      FROM pragma_foreign_key_list(:table, :schema) AS f
     GROUP BY f.id
), mismatch AS (
    SELECT k.parent
      FROM key AS k
      JOIN {schema}.sqlite_schema AS o ON o.type = 'table' AND lower(o.name) = lower(k.parent)
     WHERE NOT (k.columns = (SELECT count(*) FROM pragma_table_info(o.name, :schema) WHERE pk > 0)
                AND (k.implicit OR NOT EXISTS (SELECT 1 FROM json_each(k.referred) AS r
                                                WHERE r.value NOT IN (SELECT lower(name) FROM pragma_table_info(o.name, :schema)
                                                                       WHERE pk > 0))))
       AND NOT EXISTS (SELECT 1 FROM pragma_index_list(o.name, :schema) AS l
                        WHERE l."unique" AND NOT l.partial AND NOT k.implicit
                          AND k.columns = (SELECT count(*) FROM pragma_index_info(l.name, :schema))
                          AND NOT EXISTS (SELECT 1 FROM json_each(k.referred) AS r
                                           WHERE r.value NOT IN (SELECT lower(coalesce(name, ''))
                                                                   FROM pragma_index_info(l.name, :schema))))
)
SELECT 1 AS ok,
       :schema AS "schema",
       :table AS "table",
       CASE WHEN NOT EXISTS (SELECT 1 FROM mismatch)
            THEN (SELECT count(*) FROM pragma_foreign_key_check(:table, :schema)) END AS foreign_key_violations,
       (SELECT 'no key in ' || group_concat(parent, ', ') || ' that a foreign key can reference' FROM mismatch) AS foreign_key_mismatch

-- report: named objects that have no pages to check
WITH named AS MATERIALIZED (
    -- CAST gives the names an affinity: without one SQLite builds no automatic index on them, and 10,000 tables take minutes.
    SELECT json_extract(value, '$.schema') AS "schema", CAST(json_extract(value, '$.table') AS TEXT) AS name, key AS position
      FROM json_each(:tables)
),
-- include: shadow_tables,
kept AS MATERIALIZED (
    SELECT owner FROM shadow WHERE name IN (SELECT name FROM main.sqlite_schema WHERE type = 'table')
)
SELECT n."schema" AS "schema",
       n.name AS "table",
       CASE WHEN n."schema" <> 'main' THEN 'only the schema main is maintained'
            WHEN n.name IN (SELECT name FROM main.sqlite_schema WHERE type = 'view')
                 THEN 'a view has no pages'
            WHEN n.name IN (SELECT name FROM main.sqlite_schema WHERE type = 'table')
                 THEN 'a virtual table of an unknown module: the tables that hold its data are not known'
            ELSE 'the table does not exist' END AS reason
  FROM named AS n
 WHERE (n."schema" <> 'main'
        OR n.name NOT IN (SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage <> 0))
   AND n.name NOT IN (SELECT owner FROM kept)
 ORDER BY n.position
