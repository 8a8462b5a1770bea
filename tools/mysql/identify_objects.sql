-- name: identify_objects
-- engine: mysql >= 8, mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list}
-- returns:
--   objects: rows(objects)
-- examples: [{params: {tables: [{schema: shop, table: orders}]}}]
--
-- Identify the named objects as they are now, so that an approval can be bound to them. `oid` is the engine and CREATE_TIME: it
-- changes when the table is dropped and created again, and also when it is rebuilt or altered; it misses a replacement within
-- the same second. `busy_sessions` is NULL: only performance_schema's metadata_locks shows which sessions use a table. Needs
-- any privilege on the tables.

-- objects: one row per named table or view of the connected database that exists
WITH
-- include: named,
listed AS (
    SELECT CAST(x.TABLE_NAME AS BINARY(256)) AS name, x.INDEX_NAME,
           CONCAT(CASE WHEN x.NON_UNIQUE THEN '' ELSE 'UNIQUE ' END, x.INDEX_TYPE, ' ', x.INDEX_NAME, ' (',
                  GROUP_CONCAT(COALESCE(x.COLUMN_NAME, 'expression'), COALESCE(CONCAT('(', x.SUB_PART, ')'), ''), CASE WHEN x.COLLATION = 'D' THEN ' DESC' ELSE '' END
                               ORDER BY x.SEQ_IN_INDEX SEPARATOR ', '), ')') AS definition
      FROM information_schema.STATISTICS AS x
      JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows to build a key for the join
     WHERE x.TABLE_SCHEMA = DATABASE()
     GROUP BY CAST(x.TABLE_NAME AS BINARY(256)), x.INDEX_NAME, x.NON_UNIQUE, x.INDEX_TYPE
), indexed AS (
    SELECT l.name, JSON_ARRAYAGG(l.definition) AS indexes
      FROM listed AS l
      JOIN named AS a ON a.name = l.name
     GROUP BY l.name
)
SELECT t.TABLE_SCHEMA AS `schema`,
       t.TABLE_NAME AS `table`,
       CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'view'
            WHEN t.ENGINE IN ('FEDERATED', 'CONNECT', 'SPIDER', 'S3') THEN 'foreign'
            ELSE 'table' END AS kind,
       CONCAT_WS(' ', t.ENGINE, DATE_FORMAT(CONVERT_TZ(t.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ')) AS oid,
       CAST(t.TABLE_ROWS AS SIGNED) AS `rows`,
       CAST(t.DATA_LENGTH + t.INDEX_LENGTH AS SIGNED) AS bytes,
       NULL AS busy_sessions,
       COALESCE(i.indexes, '[]') AS indexes
  FROM information_schema.TABLES AS t
  JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
  LEFT JOIN indexed AS i ON i.name = CAST(t.TABLE_NAME AS BINARY(256))
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND (t.TABLE_TYPE = 'VIEW' OR t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED'))
 ORDER BY t.TABLE_NAME
