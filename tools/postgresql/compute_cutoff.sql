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
-- Compute the date and time a number of days ago by the database's clock, in UTC and in the session's time zone. Computed once
-- for a plan, which keeps it. Days are calendar days: across a change to or from daylight saving time the time of day stays the
-- same.

-- cutoff: the current time, and the time that many days ago
SELECT to_char(c.cutoff AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"') AS utc,
       to_char(c.cutoff, 'YYYY-MM-DD HH24:MI:SS') AS local,
       current_setting('TimeZone') AS zone,
       to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"') AS now
FROM (SELECT date_trunc('second', now()) - make_interval(days => CAST(:retention_days AS int)) AS cutoff) AS c
