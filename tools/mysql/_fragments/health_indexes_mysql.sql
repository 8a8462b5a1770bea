-- Block of analyze_database_health: redundant indexes on MySQL.

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
     WHERE x.TABLE_SCHEMA = DATABASE() AND x.IS_VISIBLE <> 'NO'
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
