-- name: show_lock_holders
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 10
-- idempotent: true
-- parameters:
--   schema: {type: string}
--   table: {type: string}
-- returns:
--   holders: rows(holders)
-- examples: [{params: {schema: public, table: orders}}]
--
-- List the sessions that hold a lock on a table or its indexes: who they are, since when, and what they are doing. Without
-- pg_monitor, only the process ids of other roles' sessions are shown.

-- holders: one row per session, the oldest transaction first, at most three
WITH named AS (
  SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = :schema AND c.relname = :table
), relation AS (
  SELECT oid FROM named UNION ALL SELECT i.indexrelid FROM pg_index AS i JOIN named ON named.oid = i.indrelid
), held AS (
  SELECT l.pid, string_agg(DISTINCT replace(l.mode, 'Lock', ''), ', ') AS modes
  FROM pg_locks AS l JOIN relation AS r ON r.oid = l.relation
  WHERE l.granted AND l.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  GROUP BY l.pid
)
SELECT h.pid::text AS session,
       concat_ws(', ', a.usename, nullif(a.application_name, ''), host(a.client_addr)) AS who,
       h.modes AS modes,
       coalesce(a.state, a.backend_type) AS doing,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds
FROM held AS h LEFT JOIN pg_stat_activity AS a ON a.pid = h.pid
ORDER BY a.xact_start, h.pid
LIMIT 3
