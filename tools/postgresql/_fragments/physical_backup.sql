-- What physical backups and their increments need to know about a cluster, and the replication slot that retains WAL for them.

-- cluster: what a physical backup must know about the cluster
SELECT pg_is_in_recovery() AS standby, current_user::text AS role,
       (SELECT r.rolsuper OR r.rolreplication FROM pg_roles AS r WHERE r.rolname = current_user) AS may_replicate,
       (SELECT s.setting::bigint * CASE s.unit WHEN '8kB' THEN 8192 ELSE 1 END FROM pg_settings AS s
        WHERE s.name = 'wal_segment_size') AS segment_bytes,
       CASE WHEN pg_is_in_recovery() THEN (SELECT c.timeline_id FROM pg_control_checkpoint() AS c)
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS timeline,
       coalesce(current_setting('summarize_wal', true), 'off') = 'on' AS summarizes,
       coalesce(current_setting('max_slot_wal_keep_size', true), '-1') = '-1' AS unlimited,
       (SELECT r.rolname FROM pg_roles AS r WHERE r.oid = 10) AS superuser,
       (SELECT max(s.setting) FROM pg_settings AS s WHERE s.name = 'data_directory') AS data_directory,
       (SELECT sum(CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) END)::bigint
        FROM pg_database AS d) AS bytes,
       (SELECT json_object_agg(t.oid::text, pg_tablespace_location(t.oid)) FROM pg_tablespace AS t
        WHERE pg_tablespace_location(t.oid) LIKE '/%') AS tablespaces,
       to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS now

-- slot: the slot of this target, and the position from which it retains WAL
SELECT s.restart_lsn::text AS restart_lsn, to_jsonb(s) ->> 'wal_status' AS wal_status
FROM pg_replication_slots AS s WHERE s.slot_name = CAST(:slot AS name)

-- advance: let the server remove WAL that a verified backup contains
SELECT a.end_lsn::text AS lsn FROM pg_replication_slot_advance(CAST(:slot AS name), CAST(:lsn AS pg_lsn)) AS a
