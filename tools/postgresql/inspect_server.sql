-- name: inspect_server
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 30
-- idempotent: true
-- returns:
--   server: object(server)
-- examples: [{params: {}}]
--
-- Describe the server, the database and the connected role, and what would hinder maintenance. Returns the size of the
-- database, whether the server is a standby, old transactions, replica lag, active sessions, and how near the database is to
-- transaction id wraparound. Reads statistics views and takes no lock. Without pg_monitor (or pg_read_all_stats) the server
-- hides other users' sessions: figures that would be wrong then are NULL. Without pg_read_all_settings data_directory is NULL.
-- The identity consists of the cluster's system identifier, the server's location (data directory or address) and the
-- database's OID and name, since clones share the system identifier.

-- server: one row about this server and database
WITH busy AS (
  -- Transactions of this database that hold back VACUUM and keep a CONCURRENTLY build waiting, except aishell's own, autovacuum's and
  -- those of WAL senders (whose lag is reported separately); prepared transactions have no session.
  SELECT a.xact_start AS since,
         format('pid %s, user %s, %s, application %s', a.pid, a.usename, a.state,
           coalesce(nullif(a.application_name, ''), 'unnamed')) AS who
  FROM pg_stat_activity AS a
  WHERE a.datname = current_database() AND a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid()
    AND a.backend_type NOT IN ('autovacuum worker', 'walsender')
  UNION ALL
  SELECT p.prepared, format('prepared transaction %s of %s', p.gid, p.owner)
  FROM pg_prepared_xacts AS p WHERE p.database = current_database()
), oldest AS (
  SELECT b.since, b.who FROM busy AS b ORDER BY b.since LIMIT 1
), sessions AS (
  SELECT CASE WHEN bool_or(a.state IS NULL) THEN NULL ELSE count(*) FILTER (WHERE a.state = 'active') END AS active
  FROM pg_stat_activity AS a WHERE coalesce(a.backend_type, 'client backend') = 'client backend' AND a.pid <> pg_backend_pid()
), hidden AS (
  -- the server hides the kind, state and transaction of sessions that the role may not see
  SELECT count(*) AS sessions FROM pg_stat_activity AS a WHERE a.datname = current_database() AND a.backend_type IS NULL
), replicas AS (
  SELECT max(coalesce(extract(epoch FROM r.replay_lag), 0)) FILTER (WHERE r.replay_lsn IS NOT NULL) AS lag
  FROM pg_stat_replication AS r
), place AS (
  -- Hidden from roles without pg_read_all_settings: the view then has no such row.
  SELECT max(s.setting) AS data_directory FROM pg_settings AS s WHERE s.name = 'data_directory'
), by_default AS (
  -- Settings of the role and the database for their sessions; that of the role in the database takes precedence.
  SELECT CAST(split_part(c.setting, '=', 2) AS boolean) AS read_only
  FROM pg_db_role_setting AS x CROSS JOIN LATERAL unnest(x.setconfig) AS c(setting)
  WHERE split_part(c.setting, '=', 1) = 'default_transaction_read_only'
    AND x.setdatabase IN (0, (SELECT b.oid FROM pg_database AS b WHERE b.datname = current_database()))
    AND x.setrole IN (0, (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = session_user))
  ORDER BY x.setrole <> 0 DESC, x.setdatabase <> 0 DESC LIMIT 1
)
SELECT current_database() AS database,
       current_user AS user_name,
       current_setting('is_superuser') = 'on' AS superuser,
       pg_is_in_recovery() AS standby,
       -- The session's own limit, from its startup options, says nothing about the server.
       pg_is_in_recovery() OR coalesce((SELECT f.read_only FROM by_default AS f), false) AS read_only,
       format('system %s at %s database %s %s', (SELECT k.system_identifier FROM pg_control_system() AS k),
              coalesce(p.data_directory, host(inet_server_addr()) || ':' || inet_server_port(),
                'port ' || current_setting('port')),
              d.oid, d.datname) AS identity,
       CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) END AS database_bytes,
       p.data_directory AS data_directory,
       round(extract(epoch FROM clock_timestamp() - o.since)::numeric, 1) AS oldest_transaction_seconds,
       coalesce(o.who, CASE WHEN h.sessions > 0
         THEN format('unknown: %s sessions are hidden from this role (grant pg_monitor)', h.sessions) END)
         AS oldest_transaction,
       round(r.lag::numeric, 1) AS replica_lag_seconds,
       s.active AS active_sessions,
       round(greatest(100.0 * age(d.datfrozenxid) / current_setting('autovacuum_freeze_max_age')::numeric,
                      100.0 * mxid_age(d.datminmxid) / current_setting('autovacuum_multixact_freeze_max_age')::numeric),
                      1) AS freeze_age_percent,
       to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS now
FROM pg_database AS d CROSS JOIN place AS p CROSS JOIN sessions AS s CROSS JOIN replicas AS r CROSS JOIN hidden AS h
  LEFT JOIN oldest AS o ON true
WHERE d.datname = current_database()
