-- Blocks that create and drop the database into which a backup is restored.

-- server: the limits that restored statements must respect
SELECT @@max_allowed_packet AS packet, @@lower_case_table_names <> 0 AS fold

-- there: whether a database of this name exists
SELECT s.SCHEMA_NAME AS name
  FROM information_schema.SCHEMATA AS s
 WHERE s.SCHEMA_NAME = CONVERT(:place USING utf8mb3) AND CAST(s.SCHEMA_NAME AS BINARY(256)) = CAST(:place AS BINARY(256))

-- quiet: stop writing this session's changes to the binary log
SET SESSION sql_log_bin = 0

-- loud: write them again
SET SESSION sql_log_bin = 1

-- mark: its comment, where databases have comments
SELECT s.SCHEMA_COMMENT AS mark
  FROM information_schema.SCHEMATA AS s
 WHERE CAST(s.SCHEMA_NAME AS BINARY(256)) = CAST(:place AS BINARY(256))

-- create: the database
CREATE DATABASE {place} CHARACTER SET {charset} COLLATE {collation}

-- create_marked: the database, with a comment that names the step
CREATE DATABASE {place} CHARACTER SET {charset} COLLATE {collation} COMMENT = :mark

-- set_mark: the restore is complete
ALTER DATABASE {place} COMMENT = :mark

-- drop: the database
DROP DATABASE IF EXISTS {place}

-- busy: statements that a client left running in it
SELECT CAST(p.ID AS CHAR) AS session
  FROM information_schema.PROCESSLIST AS p
 WHERE p.DB = CONVERT(:place USING utf8mb3) AND p.ID <> CONNECTION_ID()
