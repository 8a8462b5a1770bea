-- A SELECT: named tables whose statistics were not updated, and why.

SELECT j.schema_name AS `schema`, j.table_name AS `table`,
       CASE WHEN NOT (CAST(j.schema_name AS BINARY(256)) <=> CAST(DATABASE() AS BINARY(256))) THEN 'not in the connected database'
            WHEN t.TABLE_NAME IS NULL THEN 'the table does not exist'
            WHEN t.TABLE_TYPE = 'VIEW' THEN 'a view has no statistics'
            WHEN t.ENGINE IS NULL THEN CONCAT('the server cannot open the table: ', t.TABLE_COMMENT)
            ELSE CONCAT('the engine ', t.ENGINE, ' keeps no statistics') END AS reason
  FROM JSON_TABLE(:tables, '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                           table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
  LEFT JOIN (SELECT DISTINCT x.TABLE_NAME, x.TABLE_TYPE, x.ENGINE, x.TABLE_COMMENT, CAST(x.TABLE_NAME AS BINARY(256)) AS name
               FROM information_schema.TABLES AS x
               JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows to build a key for the join
              WHERE x.TABLE_SCHEMA = DATABASE()) AS t
    ON t.name = CAST(j.table_name AS BINARY(256))
 WHERE t.TABLE_NAME IS NULL OR NOT (CAST(j.schema_name AS BINARY(256)) <=> CAST(DATABASE() AS BINARY(256)))
    OR NOT COALESCE(t.ENGINE IN ('InnoDB', 'MyISAM', 'Aria') AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED'), 0)
