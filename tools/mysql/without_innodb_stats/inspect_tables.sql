-- name: inspect_tables
-- engine: mysql >= 8 without innodb_stats, mariadb >= 10.6 without innodb_stats
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
-- List the tables and views of the connected database with their size, rows and free extents. Makes one pass over the catalog;
-- no table is read. The catalog opens each table once, so on a freshly started server 10,000 tables take a second or two, and a
-- few tenths afterwards.
--
-- `rows` is the engine's estimate (InnoDB) or exact (MyISAM, Aria). `modified_rows` and `last_analyze` are not known without
-- mysql.innodb_table_stats. `oid` is the engine and CREATE_TIME: it changes when the table is dropped and created again, and
-- also when it is rebuilt (OPTIMIZE, ALTER … FORCE) or altered; it misses a replacement within the same second. Sequences and
-- the session's temporary tables are left out. Needs SELECT on the tables (any privilege makes them visible).
--
-- Without SELECT on mysql.innodb_index_stats only DATA_FREE is available, and it counts whole free extents: it stayed at 7-9 MB
-- when 90 % of the rows were deleted and OPTIMIZE shrank the file from 64 to 7 MB (MariaDB 10.11). So there is a figure only if
-- free extents beyond the usual 8 MB make up a tenth of the table, and it is a lower bound; otherwise the figure is withheld.
--
-- On MySQL 8 rows and sizes may be a day old (information_schema_stats_expiry).

-- tables: one row per base table and view; a partitioned table is one row with its partitions added up
WITH figure AS (
    -- include: figure_columns_extents
      FROM information_schema.TABLES AS t
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
       NULL AS modified_rows,
       NULL AS last_analyze,
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
