-- name: inspect_tables
-- engine: mysql >= 8 with innodb_stats, mariadb >= 10.6 with innodb_stats
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 120
-- idempotent: true
-- returns:
--   tables: rows(tables)
-- examples: [{params: {}}]
--
-- List the tables and views of the connected database with their size, rows, age of statistics and fragmentation. Makes one
-- pass over the catalog and InnoDB's persistent statistics; no table is read. The catalog opens each table once, so on a
-- freshly started server 10,000 tables take a second or two, and a few tenths afterwards.
--
-- `rows` is the engine's estimate (InnoDB) or exact (MyISAM, Aria). `modified_rows` is the difference between the row count in
-- memory and that of the last ANALYZE, so it misses updates, and deletes balanced by inserts: it is a lower bound. `oid` is the
-- engine and CREATE_TIME: it changes when the table is dropped and created again, and also when it is rebuilt (OPTIMIZE, ALTER
-- … FORCE) or altered; it misses a replacement within the same second. Sequences and the session's temporary tables are left
-- out. Needs SELECT on the tables (any privilege makes them visible) and on mysql.innodb_table_stats and
-- mysql.innodb_index_stats.
--
-- Source of the figure: InnoDB merges half-empty pages, so scattered deletes leave pages that are empty but still reserved for
-- their index. DATA_FREE counts only whole free extents and misses them; DATA_LENGTH counts them as data; AVG_ROW_LENGTH is
-- DATA_LENGTH divided by the rows and says nothing. mysql.innodb_index_stats has both sides: `size` (reserved) and
-- `n_leaf_pages` (in use). Measured on MariaDB 10.11 (88 MB, 300,000 rows of 200 bytes, two indexes), forecast against what
-- OPTIMIZE then freed: 90 % deleted at random 83 against 88 % (DATA_FREE alone: below 5 %), 80 % 72 against 78, every second
-- row 42 against 50, the older half 42 against 50, all rows shortened 47 against 59; 30 % at random, which empties no page, 0
-- against 32, rows inserted in random order 0 against 19, four partitions 51 against 79, freshly loaded 0 against 4. Never
-- above the actual value in 16 cases. It misses free space inside pages more than half full (random deletes of less than half
-- the rows, random keys), so the actual gain may be larger, but never much smaller, and rows deleted but not yet purged (a
-- delete of the last minutes, a long transaction). 4 MB of free extents per tablespace, by which InnoDB extends a file, count
-- as room to grow and not as fragmentation.
--
-- On MySQL 8 rows and sizes may be a day old (information_schema_stats_expiry).

-- tables: one row per base table and view; a partitioned table is one row with its partitions added up
WITH
-- include: database_segments,
-- include: rebuilt,
-- include: table_sizes,
figure AS (
    -- include: figure_columns
      FROM information_schema.TABLES AS t
      LEFT JOIN sizes AS z ON z.name = CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256))
      LEFT JOIN counted AS c ON c.name = CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256))
     WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
       AND (t.TABLE_TYPE = 'VIEW' OR t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED'))
), keyed AS (
    SELECT DISTINCT CAST(x.TABLE_NAME AS BINARY(256)) AS name
      FROM information_schema.STATISTICS AS x
      JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows to build a key for the join
     WHERE x.TABLE_SCHEMA = DATABASE() AND x.INDEX_NAME = 'PRIMARY'
)
SELECT f.TABLE_SCHEMA AS `schema`,
       f.TABLE_NAME AS `table`,
       CASE WHEN f.TABLE_TYPE = 'VIEW' THEN 'view'
            WHEN f.ENGINE IN ('FEDERATED', 'CONNECT', 'SPIDER', 'S3') THEN 'foreign'
            ELSE 'table' END AS kind,
       CONCAT_WS(' ', f.ENGINE, DATE_FORMAT(CONVERT_TZ(f.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ')) AS oid,
       f.ENGINE AS storage,
       CAST(f.TABLE_ROWS AS SIGNED) AS `rows`,
       CAST(f.DATA_LENGTH AS SIGNED) AS bytes,
       CAST(f.INDEX_LENGTH AS SIGNED) AS index_bytes,
       NULL AS dead_rows,
       NULL AS live_rows,
       CAST(ABS(CAST(f.TABLE_ROWS AS SIGNED) - CAST(f.n_rows AS SIGNED)) AS SIGNED) AS modified_rows,
       DATE_FORMAT(CONVERT_TZ(f.last_update, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS last_analyze,
       NULL AS last_vacuum,
       NULL AS freeze_age_percent,
       CASE WHEN f.ENGINE <> 'InnoDB' OR @@innodb_file_per_table THEN CAST(f.DATA_FREE AS SIGNED) END AS free_bytes,
       CASE WHEN f.TABLE_TYPE <> 'VIEW' THEN CASE WHEN f.withheld IS NULL THEN COALESCE(ROUND(100e0 * f.reclaimable / NULLIF(f.total, 0), 1), 0) END END AS fragmentation_percent,
       CASE WHEN f.TABLE_TYPE <> 'VIEW' THEN CASE WHEN f.withheld IS NULL THEN f.method END END AS fragmentation_method,
       CASE WHEN f.TABLE_TYPE <> 'VIEW' THEN f.withheld END AS withheld,
       NULL AS writes,
       CASE WHEN f.TABLE_TYPE = 'VIEW' THEN NULL ELSE k.name IS NOT NULL END AS has_primary_key
  FROM figure AS f
  LEFT JOIN keyed AS k ON k.name = CAST(f.TABLE_NAME AS BINARY(256))
 ORDER BY f.TABLE_NAME
