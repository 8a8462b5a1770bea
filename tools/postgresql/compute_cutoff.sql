-- name: compute_cutoff
-- engine: postgresql >= 12
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
-- The moment that lies so many days back on the database's own clock, in UTC and as the server's time zone writes it. Computed
-- once for a plan and frozen in it. Days are days of the calendar: over a change of the clocks the time of day stays the same.

-- cutoff: now, and the moment so many days ago
SELECT to_char(c.cutoff AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"') AS utc,
       to_char(c.cutoff, 'YYYY-MM-DD HH24:MI:SS') AS local,
       current_setting('TimeZone') AS zone,
       to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"') AS now
FROM (SELECT date_trunc('second', now()) - make_interval(days => CAST(:retention_days AS int)) AS cutoff) AS c
