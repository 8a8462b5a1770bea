-- name: analyze_database_health
-- engine: sqlite >= 3.35
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- max_execution_time: 3600
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list, default: null, description: "limit findings about objects to these tables"}
--   check_corruption: {type: boolean, default: false, description: "run quick_check, which reads the whole file"}
-- returns:
--   findings: rows(corruption, free_space, statistics, settings, duplicate_indexes, primary_keys)
--   tables: first(summary.tables)
--   database_bytes: first(summary.database_bytes)
-- examples: [{params: {}}, {params: {check_corruption: true}}]
--
-- Report what is wrong with the database file or soon will be. Finds damage, free space, missing statistics, redundant indexes,
-- tables without a primary key and settings that defeat maintenance. Reads the schema and the file header; with
-- `check_corruption` also every page (about 1 GB/s), while commits wait unless the file is in WAL mode.
--
-- Never reported, because a SQLite file does not show it: unused indexes (no counters are kept), long transactions (other
-- connections are not visible), and `synchronous`, `foreign_keys` and other settings of the application's own connections.
-- Rowids run out at 9.2e18, so there is no finding for sequences. For half-empty pages see analyze_table_fragmentation.

-- summary: how many tables were examined, and the size of the file
WITH
-- include: shadow_tables
SELECT (SELECT count(*) FROM main.sqlite_schema
         WHERE type = 'table' AND rootpage <> 0 AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
           AND name NOT IN (SELECT name FROM shadow)
           AND (:tables IS NULL OR name IN (SELECT json_extract(value, '$.table') FROM json_each(:tables)))) AS tables,
       c.page_count * s.page_size AS database_bytes
  FROM pragma_page_count AS c, pragma_page_size AS s

-- corruption: the first problem that quick_check reports
-- Only the first: when asked for more, quick_check raises "malformed" at a damaged page and its earlier results are lost. Only
-- check_table_corruption finds an index that disagrees with its table.
SELECT 'corruption' AS finding, 'critical' AS severity, NULL AS object, q.quick_check AS value,
       'The file is damaged: stop writing to it, find out what is damaged with `aishell run maintenance --type emergency`, and compare with the last good backup.' AS detail
  FROM pragma_quick_check AS q
 WHERE :check_corruption AND q.quick_check <> 'ok'
 LIMIT 1

-- free_space: empty pages, once they are a fifth of the file, the point at which VACUUM is planned
SELECT 'free_space' AS finding,
       'warning' AS severity,
       NULL AS object,
       printf('%d of %d bytes, %.0f %%', f.freelist_count * s.page_size, c.page_count * s.page_size,
              100.0 * f.freelist_count / c.page_count) AS value,
       CASE v.auto_vacuum
            WHEN 2 THEN 'SQLite will reuse these pages; `aishell run maintenance --type full` gives them back to the disk.'
            ELSE 'SQLite will reuse these pages; `aishell run maintenance --type full` gives them back to the disk (VACUUM).' END AS detail
  FROM pragma_page_count AS c, pragma_page_size AS s, pragma_freelist_count AS f, pragma_auto_vacuum AS v
 WHERE 5 * f.freelist_count >= c.page_count AND f.freelist_count > 0

-- statistics: the file has never been analyzed
SELECT 'no_statistics' AS finding, 'warning' AS severity, NULL AS object, 'sqlite_stat1 does not exist' AS value,
       'ANALYZE has never been run, so the query planner chooses indexes by rules of thumb. Run `aishell run maintenance --type quick`.' AS detail
 WHERE NOT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_stat1')
   AND EXISTS (SELECT 1 FROM main.sqlite_schema WHERE type = 'index')

-- settings: settings that are stored in the file
SELECT 'auto_vacuum_full' AS finding, 'info' AS severity, NULL AS object, 'auto_vacuum = full' AS value,
       'Every commit that frees pages moves other pages to truncate the file, which fragments tables; with auto_vacuum = incremental this happens only on request.' AS detail
  FROM pragma_auto_vacuum WHERE auto_vacuum = 1
 UNION ALL
SELECT 'small_pages', 'info', NULL, 'page_size = ' || page_size,
       'Pages smaller than 4096 bytes (the default before 3.12) cost extra reads; PRAGMA page_size = 4096 followed by VACUUM changes the size, but not in WAL mode.'
  FROM pragma_page_size WHERE page_size < 4096

-- duplicate_indexes: indexes that enforce no constraint and whose columns are a prefix of another index's
-- Partial indexes and indexes on expressions are not compared.
WITH
-- include: shadow_tables,
entry AS MATERIALIZED (
    SELECT t.name AS tbl, l.name AS idx, l."unique" AS is_unique, l.origin,
           -- Column number, direction and collation of each key column, in order.
           (SELECT group_concat(x.cid || ' ' || x."desc" || ' ' || quote(x.coll), ',') || ','
              FROM (SELECT * FROM pragma_index_xinfo(l.name, 'main') WHERE key ORDER BY seqno) AS x) AS columns
      FROM main.sqlite_schema AS t
      JOIN pragma_index_list(t.name, 'main') AS l
     WHERE t.type = 'table' AND t.rootpage <> 0 AND NOT l.partial
       AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
       AND t.name NOT IN (SELECT name FROM shadow)
       AND (:tables IS NULL OR t.name IN (SELECT json_extract(value, '$.table') FROM json_each(:tables)))
), whole AS MATERIALIZED (
    SELECT * FROM entry WHERE ',' || columns NOT LIKE '%,-2 %'
)
SELECT CASE WHEN a.columns = b.columns THEN 'duplicate_index' ELSE 'redundant_index' END AS finding,
       'warning' AS severity,
       a.tbl || '.' || a.idx AS object,
       'covered by ' || min(b.idx) AS value,
       'Every write maintains both indexes; no query needs this one.' AS detail
  FROM whole AS a
  JOIN whole AS b ON b.tbl = a.tbl AND b.idx <> a.idx AND substr(b.columns, 1, length(a.columns)) = a.columns
 WHERE a.origin = 'c'
   AND (NOT a.is_unique OR a.columns = b.columns AND b.is_unique)
   -- Of two equal indexes, the one of a constraint stays, else the unique one, else the first by name.
   AND (a.columns <> b.columns OR b.origin <> 'c' OR b.is_unique > a.is_unique OR b.is_unique = a.is_unique AND b.idx < a.idx)
 GROUP BY a.tbl, a.idx
 ORDER BY a.tbl, a.idx

-- primary_keys: tables without a primary key
WITH
-- include: shadow_tables
SELECT 'missing_primary_key' AS finding, 'info' AS severity, t.name AS object, 'no primary key' AS value,
       'Only the rowid distinguishes rows, and VACUUM may change rowids; add an INTEGER PRIMARY KEY.' AS detail
  FROM main.sqlite_schema AS t
 WHERE t.type = 'table' AND t.rootpage <> 0
   AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
   AND t.name NOT IN (SELECT name FROM shadow)
   AND (:tables IS NULL OR t.name IN (SELECT json_extract(value, '$.table') FROM json_each(:tables)))
   AND NOT EXISTS (SELECT 1 FROM pragma_table_info(t.name, 'main') WHERE pk > 0)
 ORDER BY t.name
