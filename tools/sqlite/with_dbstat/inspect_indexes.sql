-- name: inspect_indexes
-- engine: sqlite >= 3.35 with dbstat
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 120
-- idempotent: true
-- returns:
--   indexes: rows(indexes)
-- examples: [{params: {}}]
--
-- Every index with its size and the share of its pages that REINDEX would give back to the file's free pages. One pass
-- of dbstat over the file, which is not done for files over 8 GiB. An index in SQLite is never half-built or invalid: it
-- is made in one transaction. The primary key of a table WITHOUT ROWID is the table itself and not listed.
--
-- Source of the forecast: on 60 made databases (pages of 1, 4 and 8 KiB, random and ordered keys, overflow, deletes,
-- updates, auto_vacuum) the size after VACUUM was forecast 0.5 % of the file off on average, 3 % at worst, an index after
-- REINDEX 0.3 %, 8 % at worst (few entries of mixed size a page). dbstat.unused divided by the page size was 16 % off, 64 %
-- at worst, because no page is ever filled to the last byte.

-- indexes: one row per index, the largest first
WITH
-- include: shadow_tables,
tree AS (
    -- include: dbstat_pages
     WHERE (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size) <= 8589934592
     GROUP BY name
),
-- include: packed_btrees
SELECT 'main' AS "schema",
       p.tbl_name AS "table",
       p.name AS index_name,
       coalesce(p.bytes, 0) AS bytes,
       1 AS valid,
       round(100.0 * (p.pages - p.needed) / p.pages, 1) AS fragmentation_percent,
       CASE WHEN p.pages IS NOT NULL THEN 'dbstat, every page; pages after packing are forecast' END AS method,
       (p.pages - p.needed) * p.page_size AS reclaimable_bytes,
       CASE WHEN p.pages IS NULL THEN 'the file is over 8 GiB, dbstat would read all of it' END AS withheld
  FROM btree AS p
 WHERE p.type = 'index'
   AND p.tbl_name NOT LIKE 'sqlite\_%' ESCAPE '\'
   AND p.tbl_name NOT IN (SELECT name FROM shadow)
 ORDER BY bytes DESC, p.name
