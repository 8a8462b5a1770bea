-- Blocks of the tools that remove what killed runs have left: outside the binary log, as it was created, and only if no session uses it.

-- quiet: stop writing this session's changes to the binary log
SET SESSION sql_log_bin = 0

-- loud: write them again
SET SESSION sql_log_bin = 1

-- there: whether a database of this name exists, and whether a session is connected to it
SELECT s.SCHEMA_NAME AS name,
       (SELECT COUNT(*) FROM information_schema.PROCESSLIST AS p WHERE p.DB = s.SCHEMA_NAME AND p.ID <> CONNECTION_ID()) AS sessions
  FROM information_schema.SCHEMATA AS s
 WHERE CAST(s.SCHEMA_NAME AS BINARY(256)) = CAST(:database AS BINARY(256))
