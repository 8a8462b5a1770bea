-- name: inspect_server
-- engine: sqlite >= 3.35
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 30
-- idempotent: true
-- returns:
--   server: object(server)
-- examples: [{params: {}}]
--
-- Describe the database file: size, free pages, page size, journal mode and auto_vacuum. Reads only the file header, whatever
-- the size of the file. What a file cannot know is NULL: SQLite has no server, so there are no users, replicas, sessions or
-- transaction ages. What distinguishes this file from a copy (device and inode) is not visible in SQL.

-- server: one row
SELECT l.file AS database,
       NULL AS user_name,
       0 AS superuser,
       0 AS standby,
       0 AS read_only,
       '' AS identity,
       p.page_count * s.page_size AS database_bytes,
       NULL AS data_directory,
       NULL AS oldest_transaction_seconds,
       NULL AS oldest_transaction,
       NULL AS replica_lag_seconds,
       NULL AS active_sessions,
       NULL AS freeze_age_percent,
       strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS now,
       f.freelist_count * s.page_size AS free_bytes,
       j.journal_mode AS journal_mode,
       CASE v.auto_vacuum WHEN 0 THEN 'none' WHEN 1 THEN 'full' ELSE 'incremental' END AS auto_vacuum,
       s.page_size AS page_size,
       a.application_id AS application_id,
       u.user_version AS user_version
  FROM pragma_database_list AS l, pragma_page_count AS p, pragma_page_size AS s, pragma_freelist_count AS f,
       pragma_journal_mode AS j, pragma_auto_vacuum AS v, pragma_application_id AS a, pragma_user_version AS u
 WHERE l.name = 'main'
