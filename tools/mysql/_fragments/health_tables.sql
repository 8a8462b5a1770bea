-- Blocks of analyze_database_health: size, unreadable, corruption, keys.

-- size: tables and bytes of the connected database
SELECT CAST(COUNT(*) AS SIGNED) AS tables,
       CAST(COALESCE(SUM(CAST(COALESCE(t.DATA_LENGTH, 0) + COALESCE(t.INDEX_LENGTH, 0) + CASE WHEN t.ENGINE = 'InnoDB' AND @@innodb_file_per_table THEN COALESCE(t.DATA_FREE, 0) ELSE 0 END AS SIGNED)), 0) AS SIGNED) AS bytes
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')

-- unreadable: tables that the server cannot open (damaged or missing files), and views over objects that no longer exist
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 cannot represent most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
)
SELECT CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'broken_view' ELSE 'unreadable_table' END AS finding,
       CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'warning' ELSE 'critical' END AS severity,
       t.TABLE_NAME AS object,
       t.TABLE_COMMENT AS value,
       CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'The view cannot be used: replace it or drop it.'
            ELSE 'The server cannot open the table: check the files and the error log, then repair_corrupted_tables or restore it.' END AS detail
  FROM information_schema.TABLES AS t
  LEFT JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND (:tables IS NULL OR a.name IS NOT NULL)
   AND COALESCE(t.TABLE_ROWS, 0) >= 0  -- makes the server open the table, since its definition alone may be sound
   AND ((t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND t.ENGINE IS NULL) OR (t.TABLE_TYPE = 'VIEW' AND t.TABLE_COMMENT LIKE '%references invalid%'))
 ORDER BY 2, 3

-- corruption: the limits of what a query can find out about damage
SELECT 'corruption_not_visible' AS finding, 'info' AS severity, NULL AS object, 'InnoDB pages' AS value,
       'No catalog table shows damaged pages: only tables that the server could not open are listed. `aishell run maintenance --type emergency` reads the tables themselves.' AS detail
  FROM (SELECT 1 AS one) AS d
 WHERE :check_corruption

-- keys: tables without a primary key or a unique key that could replace it
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 cannot represent most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
), keyed AS (
    SELECT DISTINCT u.name
      FROM (SELECT CAST(x.TABLE_NAME AS BINARY(256)) AS name, x.INDEX_NAME
              FROM information_schema.STATISTICS AS x
              JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows to build a key for the join
             WHERE x.TABLE_SCHEMA = DATABASE() AND x.NON_UNIQUE = 0
             GROUP BY CAST(x.TABLE_NAME AS BINARY(256)), x.INDEX_NAME
            HAVING SUM(x.NULLABLE = 'YES') = 0) AS u
)
SELECT 'missing_primary_key' AS finding, 'warning' AS severity, t.TABLE_NAME AS object,
       CONCAT('about ', COALESCE(t.TABLE_ROWS, 0), ' rows') AS value,
       'No primary key: row-based replication searches the whole table for each changed row, and deleting in key order is impossible; add one.' AS detail
  FROM information_schema.TABLES AS t
  LEFT JOIN keyed AS k ON k.name = CAST(t.TABLE_NAME AS BINARY(256))
  LEFT JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND t.ENGINE IN ('InnoDB', 'MyISAM', 'Aria')
   AND k.name IS NULL
   AND (:tables IS NULL OR a.name IS NOT NULL)
 ORDER BY t.TABLE_ROWS DESC, t.TABLE_NAME
