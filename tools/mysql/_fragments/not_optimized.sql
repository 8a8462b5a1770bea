-- Block `report` of optimize_table.

-- report: why a table of another engine was not worked on
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS `table`,
       CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 'a view has no data of its own'
            WHEN t.ENGINE IS NULL THEN CONCAT('the server cannot open the table: ', t.TABLE_COMMENT)
            WHEN t.TABLE_TYPE = 'SYSTEM VERSIONED' AND t.ENGINE = 'InnoDB' THEN 'system-versioned tables refuse OPTIMIZE: use rebuild_table'
            WHEN t.ENGINE IN ('MyISAM', 'Aria') THEN CONCAT(t.ENGINE, ': use optimize_offline_table, which blocks the table meanwhile')
            ELSE CONCAT('the engine ', t.ENGINE, ' cannot rebuild a table online') END AS reason
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.TABLE_NAME = CONVERT(:table USING utf8mb3)
   AND CAST(t.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(t.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
   AND COALESCE(t.TABLE_ROWS, 0) >= 0  -- makes the server open the table: its definition alone can be sound
   AND NOT (t.ENGINE <=> 'InnoDB' AND t.TABLE_TYPE = 'BASE TABLE')
