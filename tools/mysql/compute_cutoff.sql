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
-- Compute the date and time a number of days ago by the database's clock, in UTC and in the session's time zone. That is the
-- server's time zone (aishell sets none), in which TIMESTAMP columns are compared and in which NOW() fills DATETIME columns,
-- which have no time zone of their own. Computed once for a plan, which keeps it. Days are calendar days: across a change to or
-- from daylight saving time the time of day stays the same.

-- cutoff: the current time, and the time that many days ago
SELECT DATE_FORMAT(CONVERT_TZ(c.cutoff, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%s+00:00') AS utc,
       DATE_FORMAT(c.cutoff, '%Y-%m-%d %H:%i:%s') AS local,
       CASE WHEN @@session.time_zone = 'SYSTEM' THEN @@system_time_zone ELSE @@session.time_zone END AS zone,
       DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%s+00:00') AS now
  FROM (SELECT NOW() - INTERVAL :retention_days DAY AS cutoff) AS c
