-- name: rebuild_fragmented_indexes
-- engine: mysql >= 8 with innodb_stats, mariadb >= 10.6 with innodb_stats
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, index_manage]
-- runs: each
-- transaction: none
-- lock: MDL SHARED UPGRADABLE, brief EXCLUSIVE
-- max_execution_time: 7200
-- privileges: [ALTER]
-- idempotent: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
--   fragmentation_threshold: {type: number, editable: true, default: 30, minimum: 0, maximum: 100, description: "rebuild the indexes if at least this percentage of their pages would be freed"}
--   min_index_size: {type: integer, editable: true, default: 1048576, minimum: 0, description: "bytes; if all secondary indexes together are smaller the table is left alone"}
-- returns:
--   indexes_rebuilt: sum(verify.index_count)
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   bytes_method: {from: first(find.bytes_method), description: "'statistics': an index has no file of its own"}
--   failed: rows(failed)
--   reported: rows(report)
-- examples: [{params: {schema: shop, table: orders}}]
--
-- Rebuild the secondary indexes of one table, and with them the table, if they have too many empty pages.
--
-- InnoDB cannot rebuild a single secondary index while the application works: the table and all its indexes are built again
-- beside the old one (ALTER TABLE … FORCE, INPLACE, LOCK=NONE). Reads and writes continue; only at the start and at the end do
-- other sessions wait for an exclusive metadata lock, and behind a long transaction on the table that wait is limited by the
-- lock timeout. Needs free disk space of the size of the table, plus a log of the changes made meanwhile
-- (innodb_online_alter_log_max_size, 128 MB by default: on a busier table it fails and nothing changes). It is always written
-- to the binary log, and a replica that applies it lags by as long as it takes.
--
-- Tables with FULLTEXT indexes cannot be rebuilt like this on all versions: they are skipped with the server's reason. MyISAM
-- and Aria tables are left alone: optimize_offline_table sorts their index pages, and blocks them meanwhile.
--
-- What `verify` proves: CREATE_TIME has changed, or is less than 2 seconds old (its resolution is one second); only a rebuild
-- sets it.
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
-- Needs SELECT on the tables (any privilege makes them visible) and on mysql.innodb_table_stats and mysql.innodb_index_stats.
-- Altering needs ALTER on the table.

-- find: the table, if its secondary indexes together are above the threshold
WITH
-- include: table_segments,
-- include: rebuilt,
secondary AS (
    -- The rows are in PRIMARY (or GEN_CLUST_INDEX), which is the table, not one of its indexes.
    SELECT r.name, COUNT(DISTINCT r.index_name) AS indexes,
           SUM(r.pages) * @@innodb_page_size AS bytes, SUM(r.needed) * @@innodb_page_size AS needed
      FROM rebuilt AS r
     WHERE r.index_name NOT IN ('PRIMARY', 'GEN_CLUST_INDEX')
     GROUP BY r.name
), counted AS (
    SELECT CAST(CASE WHEN LOCATE('#P#', REPLACE(n.table_name, '#p#', '#P#')) > 0
                THEN CONCAT(SUBSTRING_INDEX(REPLACE(n.table_name, '#p#', '#P#'), '#P#', 1), '#P#') ELSE n.table_name END AS BINARY(256)) AS name, SUM(n.n_rows) AS n_rows
      FROM mysql.innodb_table_stats AS n
     WHERE n.database_name = CONVERT(:schema USING utf8mb3) AND (n.table_name = CONVERT(:table USING utf8mb3)
                    OR LEFT(REPLACE(n.table_name, '#p#', '#P#'), CHAR_LENGTH(:table) + 3) = CONCAT(CONVERT(:table USING utf8mb3), '#P#'))
     GROUP BY 1
), judged AS (
    SELECT t.TABLE_SCHEMA AS schema_name, t.TABLE_NAME AS table_name, t.CREATE_TIME AS create_time, t.ENGINE AS engine,
           z.indexes, z.bytes, GREATEST(0, z.bytes - z.needed) AS reclaimable,
           CASE WHEN t.ROW_FORMAT = 'Compressed' THEN 'row format COMPRESSED: the statistics count pages of unknown size'
                WHEN ABS(CAST(t.TABLE_ROWS AS SIGNED) - CAST(c.n_rows AS SIGNED)) > 1000 + c.n_rows / 5
                THEN 'the statistics are stale: run ANALYZE TABLE and look again' END AS withheld
      FROM information_schema.TABLES AS t
      JOIN secondary AS z ON z.name = CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256))
      LEFT JOIN counted AS c ON c.name = CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256))
     WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
       AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
       AND t.ENGINE = 'InnoDB'
), defined AS (
    SELECT l.name,
           GROUP_CONCAT(CONCAT(l.INDEX_NAME, ' (', l.columns, ')') ORDER BY l.INDEX_NAME SEPARATOR '; ') AS definition
      FROM (SELECT CAST(x.TABLE_NAME AS BINARY(256)) AS name, x.INDEX_NAME,
                   GROUP_CONCAT(COALESCE(x.COLUMN_NAME, 'expression'), COALESCE(CONCAT('(', x.SUB_PART, ')'), '')
                                ORDER BY x.SEQ_IN_INDEX SEPARATOR ', ') AS columns
              FROM information_schema.STATISTICS AS x
              JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows to build a key for the join
             WHERE x.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND x.TABLE_NAME = CONVERT(:table USING utf8mb3)
             GROUP BY CAST(x.TABLE_NAME AS BINARY(256)), x.INDEX_NAME) AS l
     GROUP BY l.name
)
SELECT CONCAT('all indexes of ', j.table_name) AS index_name,
       CAST(j.indexes AS SIGNED) AS index_count,
       CAST(j.bytes AS SIGNED) AS bytes,
       'statistics' AS bytes_method,
       COALESCE(ROUND(100e0 * j.reclaimable / NULLIF(j.bytes, 0), 1), 0) AS fragmentation,
       d.definition AS definition,
       DATE_FORMAT(CONVERT_TZ(j.create_time, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created
  FROM judged AS j
  LEFT JOIN defined AS d ON d.name = CAST(j.table_name AS BINARY(256))
 WHERE j.withheld IS NULL
   AND j.bytes >= :min_index_size
   AND 100 * j.reclaimable >= j.bytes * :fragmentation_threshold

-- include: same_name

-- do: rebuild the table with all its indexes, without blocking reads and writes
ALTER TABLE {schema}.{table} FORCE, ALGORITHM=INPLACE, LOCK=NONE

-- verify: the table has been rebuilt; sizes according to the new statistics
WITH
-- include: table_segments,
-- include: rebuilt,
after_rebuild AS (
    SELECT SUM(r.pages) * @@innodb_page_size AS bytes FROM rebuilt AS r
      JOIN information_schema.TABLES AS t ON CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256)) = r.name
     WHERE r.index_name NOT IN ('PRIMARY', 'GEN_CLUST_INDEX') AND t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
       AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
)
SELECT t.CREATE_TIME IS NOT NULL
       AND (NOT (DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') <=> :created) OR t.CREATE_TIME >= NOW() - INTERVAL 2 SECOND) AS ok,
       CAST(COALESCE(a.bytes, t.INDEX_LENGTH) AS SIGNED) AS bytes,
       :index_count AS index_count,
       DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created
  FROM information_schema.TABLES AS t
  LEFT JOIN after_rebuild AS a ON a.bytes IS NOT NULL
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))

-- report: why a table of another engine was left alone
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`,
       CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'a view has no data of its own'
            WHEN t.ENGINE IS NULL THEN CONCAT('the server cannot open the table: ', t.TABLE_COMMENT)
            WHEN t.ENGINE IN ('MyISAM', 'Aria') THEN CONCAT(t.ENGINE, ': use optimize_offline_table, which blocks the table meanwhile')
            ELSE CONCAT('the engine ', t.ENGINE, ' cannot rebuild a table online') END AS reason
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND COALESCE(t.TABLE_ROWS, 0) >= 0  -- makes the server open the table, since its definition alone may be sound
   AND NOT (t.ENGINE <=> 'InnoDB')
