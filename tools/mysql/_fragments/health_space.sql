-- Blocks of analyze_database_health: counters, space, engines.

-- counters: AUTO_INCREMENT columns that have used four fifths of their range
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 cannot represent most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
), counter AS (
    SELECT CAST(c.TABLE_NAME AS BINARY(256)) AS name, MAX(c.COLUMN_NAME) AS column_name, MAX(c.COLUMN_TYPE) AS column_type,
           MAX(FLOOR(CASE c.DATA_TYPE WHEN 'tinyint' THEN 255 WHEN 'smallint' THEN 65535 WHEN 'mediumint' THEN 16777215
                                WHEN 'int' THEN 4294967295 WHEN 'bigint' THEN 18446744073709551615 END
               / CASE WHEN c.COLUMN_TYPE LIKE '%unsigned%' THEN 1 ELSE 2 END)) AS largest
      FROM information_schema.COLUMNS AS c
      JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows to build a key for the join
     WHERE c.TABLE_SCHEMA = DATABASE() AND c.EXTRA LIKE '%auto_increment%'
     GROUP BY CAST(c.TABLE_NAME AS BINARY(256))
)
SELECT 'auto_increment_near_end' AS finding,
       CASE WHEN t.AUTO_INCREMENT >= 0.95 * c.largest THEN 'critical' ELSE 'warning' END AS severity,
       CONCAT(t.TABLE_NAME, '.', c.column_name) AS object,
       CONCAT(TRUNCATE(100.0 * t.AUTO_INCREMENT / c.largest, 1), ' % of ', c.column_type, ' (next is ', t.AUTO_INCREMENT, ' of ', c.largest, ')') AS value,
       'When the counter reaches the end of its range every insert fails: change the column, and foreign key columns that reference it, to a wider type.' AS detail
  FROM information_schema.TABLES AS t
  JOIN counter AS c ON c.name = CAST(t.TABLE_NAME AS BINARY(256))
  LEFT JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.AUTO_INCREMENT >= 0.8 * c.largest
   AND (:tables IS NULL OR a.name IS NOT NULL)
 ORDER BY t.AUTO_INCREMENT / c.largest DESC

-- space: free extents inside the tables' files; the largest ten, and the total
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 cannot represent most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
), slack AS (
    SELECT t.TABLE_NAME, t.DATA_FREE, t.DATA_LENGTH + t.INDEX_LENGTH + t.DATA_FREE AS total,
           ROW_NUMBER() OVER (ORDER BY t.DATA_FREE DESC, t.TABLE_NAME) AS place
      FROM information_schema.TABLES AS t
      LEFT JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
     WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
       AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
       AND t.ENGINE = 'InnoDB' AND @@innodb_file_per_table AND t.DATA_FREE > 67108864
       AND t.DATA_FREE > 0.2 * (t.DATA_LENGTH + t.INDEX_LENGTH)
       AND (:tables IS NULL OR a.name IS NOT NULL)
)
SELECT 'free_space_in_file' AS finding, 'info' AS severity, s.TABLE_NAME AS object,
       CONCAT(ROUND(s.DATA_FREE / 1048576), ' of ', ROUND(s.total / 1048576), ' MB are free extents') AS value,
       'At least this much could be returned to the disk: `aishell run maintenance --type full` measures the tables and rewrites those worth it.' AS detail
  FROM slack AS s
 WHERE s.place <= 10
 UNION ALL
SELECT 'disk_bloat', 'info', NULL, CONCAT(ROUND(SUM(s.DATA_FREE) / 1048576), ' MB in ', COUNT(*), ' tables'),
       'Free extents inside the files of all these tables: InnoDB reuses them for the same table only.'
  FROM slack AS s
HAVING COUNT(*) > 0

-- engines: tables that a crash of the server can damage
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 cannot represent most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
)
SELECT 'not_crash_safe' AS finding, 'info' AS severity, NULL AS object, CONCAT(COUNT(*), ' MyISAM tables') AS value,
       CONCAT('After a crash they need repair, possibly with lost rows, and they are locked as a whole: consider InnoDB. The first: ', MIN(t.TABLE_NAME)) AS detail
  FROM information_schema.TABLES AS t
  LEFT JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.ENGINE = 'MyISAM'
   AND (:tables IS NULL OR a.name IS NOT NULL)
HAVING COUNT(*) > 0
