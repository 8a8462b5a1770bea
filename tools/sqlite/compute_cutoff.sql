-- name: compute_cutoff
-- engine: sqlite >= 3.35
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 30
-- idempotent: true
-- parameters:
--   retention_days: {type: integer, minimum: 1}
-- returns:
--   cutoff: object(cutoff)
-- examples: [{params: {retention_days: 90}}]
--
-- Compute the date and time a number of days ago, in UTC. SQLite has no clock but the machine's, and its date functions write
-- UTC. Computed once for a plan, which keeps it.

-- cutoff: the current time, and the time that many days ago
SELECT strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', '-' || :retention_days || ' days') AS utc,
       strftime('%Y-%m-%d %H:%M:%S', 'now', '-' || :retention_days || ' days') AS local,
       'UTC' AS zone,
       strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now') AS now
