-- name: compute_cutoff
-- engine: mysql >= 8, mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- max_execution_time: 30
-- idempotent: true
-- parameters:
--   retention_days: {type: integer, minimum: 1}
-- returns:
--   cutoff: object(cutoff)
-- examples: [{params: {retention_days: 90}}]
--
-- The moment that lies so many days back on the database's own clock, in UTC and as the session's time zone writes it: that is
-- the server's (aishell sets none), in which TIMESTAMP columns are compared, and in which NOW() fills DATETIME columns, which
-- know no zone of their own. Computed once for a plan and frozen in it. Days are days of the calendar: over a change of the
-- clocks the time of day stays the same.

-- cutoff: now, and the moment so many days ago
SELECT DATE_FORMAT(CONVERT_TZ(c.cutoff, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%s+00:00') AS utc,
       DATE_FORMAT(c.cutoff, '%Y-%m-%d %H:%i:%s') AS local,
       CASE WHEN @@session.time_zone = 'SYSTEM' THEN @@system_time_zone ELSE @@session.time_zone END AS zone,
       DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%s+00:00') AS now
  FROM (SELECT NOW() - INTERVAL :retention_days DAY AS cutoff) AS c
