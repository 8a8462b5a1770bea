-- name: show_progress
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 10
-- idempotent: true
-- parameters:
--   session: {type: string, description: 'backend process id'}
-- returns:
--   progress: rows(progress)
-- examples: [{params: {session: "12345"}}]
--
-- Show the progress of the VACUUM, ANALYZE, index build or table rewrite that a server session is running. No row if the
-- session runs none of these (ANALYZE reports from version 13 on). Without pg_monitor only sessions of the same role are
-- visible. Each phase starts its count again; a CONCURRENTLY build that waits for old transactions counts them as `sessions
-- waited for`.

-- progress: at most one row
WITH progress AS (
  SELECT v.pid, v.phase, v.heap_blks_total AS total,
         CASE v.phase WHEN 'vacuuming heap' THEN v.heap_blks_vacuumed ELSE v.heap_blks_scanned END AS done, 'blocks' AS unit
  FROM pg_stat_progress_vacuum AS v
  UNION ALL
  SELECT i.pid, i.phase,
         -- a phase keeps the figures of the previous one, so the phase decides which figures apply
         CASE WHEN i.phase LIKE 'waiting%' THEN i.lockers_total WHEN i.blocks_total > 0 THEN i.blocks_total
           ELSE nullif(i.tuples_total, 0) END,
         CASE WHEN i.phase LIKE 'waiting%' THEN i.lockers_done WHEN i.blocks_total > 0 THEN i.blocks_done WHEN i.tuples_total > 0
           THEN i.tuples_done END,
         CASE WHEN i.phase LIKE 'waiting%' THEN 'sessions waited for' WHEN i.blocks_total > 0 THEN 'blocks'
           WHEN i.tuples_total > 0 THEN 'rows' END
  FROM pg_stat_progress_create_index AS i
  UNION ALL
  SELECT c.pid, c.phase, nullif(c.heap_blks_total, 0),
         CASE WHEN c.heap_blks_total > 0 THEN c.heap_blks_scanned ELSE c.heap_tuples_written END,
         CASE WHEN c.heap_blks_total > 0 THEN 'blocks' ELSE 'rows' END
  FROM pg_stat_progress_cluster AS c
  UNION ALL
  -- The source of pg_stat_progress_analyze: version 12 has neither the view nor the command name.
  SELECT a.pid, (ARRAY['initializing', 'acquiring sample rows', 'acquiring inherited sample rows', 'computing statistics',
                       'computing extended statistics', 'finalizing analyze'])[a.param1 + 1],
         a.param2, a.param3, 'blocks'
  FROM pg_stat_get_progress_info(CASE WHEN current_setting('server_version_num')::int >= 130000 THEN 'ANALYZE'
    ELSE 'VACUUM' END) AS a
  WHERE current_setting('server_version_num')::int >= 130000
)
SELECT p.phase AS phase, p.done AS done, p.total AS total, p.unit AS unit
FROM progress AS p
WHERE p.pid::text = split_part(CAST(:session AS text), '@', 1)
LIMIT 1
