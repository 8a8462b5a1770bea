-- Blocks of analyze_database_health: redundant and unused indexes on MariaDB.

-- redundant: an index whose columns are a prefix of another one's, or the same
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 cannot represent most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
), listed AS (
    SELECT CAST(x.TABLE_NAME AS BINARY(256)) AS name, x.TABLE_NAME, x.INDEX_NAME, x.NON_UNIQUE, x.INDEX_TYPE,
           GROUP_CONCAT('`', REPLACE(COALESCE(x.COLUMN_NAME, CONCAT('?', x.INDEX_NAME, x.SEQ_IN_INDEX)), '`', '``'), '`',
                        COALESCE(CONCAT('(', x.SUB_PART, ')'), ''), CASE WHEN x.COLLATION = 'D' THEN ' DESC' ELSE '' END, ','
                        ORDER BY x.SEQ_IN_INDEX SEPARATOR '') AS columns
      FROM information_schema.STATISTICS AS x
      JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows to build a key for the join
     WHERE x.TABLE_SCHEMA = DATABASE() AND x.IGNORED <> 'YES'
     GROUP BY CAST(x.TABLE_NAME AS BINARY(256)), x.TABLE_NAME, x.INDEX_NAME, x.NON_UNIQUE, x.INDEX_TYPE
)
SELECT CASE WHEN s.columns = l.columns THEN 'duplicate_index' ELSE 'redundant_index' END AS finding,
       CASE WHEN s.columns = l.columns THEN 'warning' ELSE 'info' END AS severity,
       CONCAT(s.TABLE_NAME, '.', s.INDEX_NAME) AS object,
       CONCAT('(', TRIM(TRAILING ',' FROM s.columns), ') is covered by ', l.INDEX_NAME, ' (', TRIM(TRAILING ',' FROM l.columns), ')') AS value,
       CASE WHEN s.columns = l.columns THEN 'The same columns are indexed twice: drop this index after checking that no query names it in a hint.'
            ELSE 'Unless it is much wider, the longer index can serve the same queries: consider dropping this one.' END AS detail
  FROM listed AS s
  JOIN listed AS l ON l.name = s.name AND l.INDEX_NAME <> s.INDEX_NAME AND l.INDEX_TYPE = s.INDEX_TYPE
       AND LEFT(l.columns, CHAR_LENGTH(s.columns)) = s.columns
  LEFT JOIN named AS a ON a.name = s.name
 WHERE s.INDEX_TYPE IN ('BTREE', 'HASH')
   AND s.INDEX_NAME <> 'PRIMARY'
   AND (s.INDEX_TYPE = 'BTREE' OR s.columns = l.columns)
   AND CASE WHEN s.columns <> l.columns THEN s.NON_UNIQUE = 1
            ELSE s.NON_UNIQUE > l.NON_UNIQUE OR (s.NON_UNIQUE = l.NON_UNIQUE AND (l.INDEX_NAME = 'PRIMARY' OR s.INDEX_NAME > l.INDEX_NAME)) END
   AND (:tables IS NULL OR a.name IS NOT NULL)
 ORDER BY 1, 3

-- unused: indexes that no query has read since the server started, if userstat is on
WITH named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 cannot represent most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(COALESCE(:tables, '[]'), '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
), used AS (
    SELECT DISTINCT CAST(s.TABLE_NAME AS BINARY(256)) AS name, CAST(s.INDEX_NAME AS BINARY(256)) AS index_name
      FROM information_schema.INDEX_STATISTICS AS s
     WHERE s.TABLE_SCHEMA = DATABASE()
), child AS (
    -- The first column of a foreign key needs an index, read or not.
    SELECT DISTINCT CAST(c.TABLE_NAME AS BINARY(256)) AS name, c.COLUMN_NAME
      FROM information_schema.KEY_COLUMN_USAGE AS c
      JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows to build a key for the join
     WHERE c.TABLE_SCHEMA = DATABASE() AND c.REFERENCED_TABLE_NAME IS NOT NULL AND c.ORDINAL_POSITION = 1
), listed AS (
    SELECT DISTINCT CAST(x.TABLE_NAME AS BINARY(256)) AS name, x.TABLE_NAME, x.INDEX_NAME, x.COLUMN_NAME
      FROM information_schema.STATISTICS AS x
      JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows to build a key for the join
     WHERE x.TABLE_SCHEMA = DATABASE() AND x.NON_UNIQUE = 1 AND x.SEQ_IN_INDEX = 1 AND x.IGNORED <> 'YES' AND @@userstat
)
SELECT 'unused_index' AS finding, CASE WHEN up.seconds >= 2592000 THEN 'warning' ELSE 'info' END AS severity,
       CONCAT(l.TABLE_NAME, '.', l.INDEX_NAME) AS object,
       CONCAT('not read in ', ROUND(up.seconds / 86400, 1), ' days') AS value,
       'No query has used this index since the statistics began; if that includes month-end and reports, drop it, or make it IGNORED first.' AS detail
  FROM listed AS l
  JOIN (SELECT DISTINCT CAST(t.TABLE_NAME AS BINARY(256)) AS name, t.INDEX_LENGTH
          FROM information_schema.TABLES AS t
          JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows to build a key for the join
         WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256)) AND @@userstat) AS t ON t.name = l.name
  JOIN (SELECT CAST(s.VARIABLE_VALUE AS SIGNED) AS seconds FROM information_schema.GLOBAL_STATUS AS s WHERE s.VARIABLE_NAME = 'Uptime') AS up
  LEFT JOIN used AS u ON u.name = l.name AND u.index_name = CAST(l.INDEX_NAME AS BINARY(256))
  LEFT JOIN child AS c ON c.name = l.name AND c.COLUMN_NAME = l.COLUMN_NAME
  LEFT JOIN named AS a ON a.name = l.name
 WHERE u.name IS NULL AND c.name IS NULL
   AND up.seconds >= 604800
   AND t.INDEX_LENGTH >= 1048576
   AND (:tables IS NULL OR a.name IS NOT NULL)
 ORDER BY 3
