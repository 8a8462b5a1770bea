-- name: check_table_corruption
-- engine: mysql >= 8, mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: each
-- transaction: none
-- lock: MDL SHARED READ
-- max_execution_time: 7200
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list}
--   depth: {type: keyword, enum: [QUICK, MEDIUM, EXTENDED], default: MEDIUM, description: "InnoDB: QUICK and MEDIUM are the same; EXTENDED costs about ten times as much"}
-- returns:
--   corrupted_tables: rows(corrupted)
--   checked: rows(ok)
--   not_checked: rows(skipped, failed, report)
-- examples: [{params: {tables: [{schema: shop, table: orders}]}}]
--
-- Check each named table and its indexes with CHECK TABLE. InnoDB: reads every page of every index and counts its entries while
-- reads and writes continue; EXTENDED also follows all row versions. MyISAM and Aria: reads the indexes and, unless QUICK,
-- every row; READS AND WRITES of the table wait until it is done (measured on MariaDB 10.11 with EXTENDED). QUICK misses
-- damaged rows: a data file with 3,000 bytes overwritten was "OK".
--
-- The check can make damage worse for the application: a MyISAM or Aria table found damaged is marked as crashed and from then
-- on refuses every statement; an InnoDB index found damaged is marked as corrupted and no longer used. If the damage is in the
-- clustered index, that is the whole table, even for queries that worked before; and the server may stop on a damaged InnoDB
-- page. So have a backup at hand.
--
-- An interrupted check proves nothing: on MariaDB 10.11 a CHECK of InnoDB stopped by max_statement_time or KILL QUERY answered
-- "OK", and one of Aria answered "Corrupt" for a sound table.
--
-- Needs any privilege on the table (SELECT is enough).

-- find: the named tables whose engine supports CHECK, and those that the server cannot open; small ones first
WITH
-- include: named
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`, t.ENGINE AS storage,
       CAST(COALESCE(t.DATA_LENGTH + t.INDEX_LENGTH, 0) AS SIGNED) AS bytes
  FROM information_schema.TABLES AS t
  JOIN named AS a ON a.name = CAST(t.TABLE_NAME AS BINARY(256))
 WHERE t.TABLE_SCHEMA = DATABASE() AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
   AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND (t.ENGINE IS NULL OR t.ENGINE IN ('InnoDB', 'MyISAM', 'Aria', 'ARCHIVE', 'CSV'))
 ORDER BY t.ENGINE IS NOT NULL, t.DATA_LENGTH + t.INDEX_LENGTH, t.TABLE_NAME

-- do: read it and count
CHECK TABLE {schema}.{table} {depth}

-- report: named objects that cannot be checked
SELECT j.schema_name AS `schema`, j.table_name AS `table`,
       CASE WHEN NOT (CAST(j.schema_name AS BINARY(256)) <=> CAST(DATABASE() AS BINARY(256))) THEN 'not in the connected database'
            WHEN t.TABLE_NAME IS NULL THEN 'the table does not exist'
            WHEN t.TABLE_TYPE = 'VIEW' THEN 'a view has no data of its own'
            ELSE CONCAT('the engine ', t.ENGINE, ' cannot check') END AS reason
  FROM JSON_TABLE(:tables, '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                           table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
  LEFT JOIN (SELECT DISTINCT x.TABLE_NAME, x.TABLE_TYPE, x.ENGINE, x.TABLE_COMMENT, CAST(x.TABLE_NAME AS BINARY(256)) AS name
               FROM information_schema.TABLES AS x
               JOIN JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) AS one  -- one row, which makes MariaDB expect enough rows to build a key for the join
              WHERE x.TABLE_SCHEMA = DATABASE()) AS t
    ON t.name = CAST(j.table_name AS BINARY(256))
 WHERE t.TABLE_NAME IS NULL OR NOT (CAST(j.schema_name AS BINARY(256)) <=> CAST(DATABASE() AS BINARY(256)))
    OR NOT (t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND COALESCE(t.ENGINE IN ('InnoDB', 'MyISAM', 'Aria', 'ARCHIVE', 'CSV'), 1))
