-- Blocks that make the place a backup is restored to, and take it away. A place is always a database of its own.

-- server: what the restored statements have to fit into
SELECT @@max_allowed_packet AS packet, @@lower_case_table_names <> 0 AS fold

-- there: whether a database of this name is there
SELECT s.SCHEMA_NAME AS name
  FROM information_schema.SCHEMATA AS s
 WHERE s.SCHEMA_NAME = CONVERT(:place USING utf8mb3) AND CAST(s.SCHEMA_NAME AS BINARY(256)) = CAST(:place AS BINARY(256))

-- quiet: what this session does from now on is not written to the binary log
SET SESSION sql_log_bin = 0

-- loud: as it was
SET SESSION sql_log_bin = 1

-- mark: what was noted of it where databases have comments
SELECT s.SCHEMA_COMMENT AS mark
  FROM information_schema.SCHEMATA AS s
 WHERE CAST(s.SCHEMA_NAME AS BINARY(256)) = CAST(:place AS BINARY(256))

-- create: the place
CREATE DATABASE {place} CHARACTER SET {charset} COLLATE {collation}

-- create_marked: the place, and which step makes it
CREATE DATABASE {place} CHARACTER SET {charset} COLLATE {collation} COMMENT = :mark

-- set_mark: it is whole
ALTER DATABASE {place} COMMENT = :mark

-- drop: the place
DROP DATABASE IF EXISTS {place}

-- busy: statements that a client left running there
SELECT CAST(p.ID AS CHAR) AS session
  FROM information_schema.PROCESSLIST AS p
 WHERE p.DB = CONVERT(:place USING utf8mb3) AND p.ID <> CONNECTION_ID()
