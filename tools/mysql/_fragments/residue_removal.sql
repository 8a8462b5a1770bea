-- Blocks of the tools that remove what killed runs have left: outside the binary log, as it was made, and only what nobody is in.

-- quiet: what this session does from now on is not written to the binary log
SET SESSION sql_log_bin = 0

-- loud: as it was
SET SESSION sql_log_bin = 1

-- there: whether a database of this name is there, and whether somebody is in it
SELECT s.SCHEMA_NAME AS name,
       (SELECT COUNT(*) FROM information_schema.PROCESSLIST AS p WHERE p.DB = s.SCHEMA_NAME AND p.ID <> CONNECTION_ID()) AS sessions
  FROM information_schema.SCHEMATA AS s
 WHERE CAST(s.SCHEMA_NAME AS BINARY(256)) = CAST(:database AS BINARY(256))
