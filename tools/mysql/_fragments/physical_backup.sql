-- Blocks about the files of a MariaDB server, which are copied in place.

-- files: their location, the settings that a server on a copy of them needs, and this connection's thread
SELECT @@datadir AS folder, @@innodb_data_home_dir AS home, @@innodb_data_file_path AS `system`, @@innodb_page_size AS page_size,
       @@innodb_undo_tablespaces AS undos, @@lower_case_table_names AS fold, p.TID AS thread
  FROM information_schema.PROCESSLIST AS p
 WHERE p.ID = CONNECTION_ID()

-- encrypting: the plugins that encrypt files
SELECT p.PLUGIN_NAME AS name
  FROM information_schema.PLUGINS AS p
 WHERE p.PLUGIN_TYPE = 'ENCRYPTION' AND p.PLUGIN_STATUS = 'ACTIVE'

-- foreign_engines: tables whose rows are in none of the copied files
SELECT t.ENGINE AS engine, COUNT(*) AS tables
  FROM information_schema.TABLES AS t
 WHERE t.TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'sys') AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND t.ENGINE NOT IN ('InnoDB', 'Aria', 'MyISAM', 'MRG_MyISAM', 'CSV', 'ARCHIVE', 'MEMORY')
 GROUP BY t.ENGINE
 ORDER BY t.ENGINE

-- waiting: whether the copy waits for other sessions, and for how many seconds
SELECT CAST(p.ID AS CHAR) AS session, p.TIME_MS / 1000 AS seconds, p.INFO AS stage
  FROM information_schema.PROCESSLIST AS p
 WHERE p.INFO LIKE 'BACKUP STAGE%' AND p.STATE LIKE 'Waiting%' AND p.USER = SUBSTRING_INDEX(USER(), '@', 1)
