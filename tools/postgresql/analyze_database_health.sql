-- name: analyze_database_health
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 120
-- idempotent: true
-- parameters:
--   tables: {type: identifier_list, default: null, description: 'limit findings about objects to these tables; default: all'}
--   check_corruption: {type: boolean, default: false, description: also report the damaged pages that the server has counted}
-- returns:
--   findings:
--     from: rows(wraparound_databases, wraparound_tables, checksum_failures, collation_versions, invalid_indexes,
--      unused_indexes, duplicate_indexes, redundant_indexes, missing_primary_keys, long_transactions, blind_spots,
--      prepared_transactions, replication, sequences, autovacuum_lagging, settings, never_analyzed, bloat)
--     description: finding, severity (info, warning, critical), object, value, detail
--   tables: first(size.tables)
--   database_bytes: first(size.database_bytes)
-- examples: [{params: {}}, {params: {check_corruption: true}}]
--
-- Report what endangers the database or defeats maintenance. Looks for wraparound, damaged pages, invalid, unused, duplicate
-- and redundant indexes, missing primary keys, whatever holds back VACUUM, sequences near their end, autovacuum falling behind,
-- dangerous settings and bloat. Reads catalogs and statistics only; reads no table and locks none. Needs pg_monitor to see
-- other users' transactions and replication, and pg_read_all_data for sequences and the bloat estimate: without them those
-- findings are missing. `tables` limits findings about objects; findings about the server and its sessions are always reported.

-- size: the number of tables, and the size of the database
SELECT count(*) AS tables,
       (SELECT CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) END
        FROM pg_database AS d WHERE d.datname = current_database()) AS database_bytes
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND (CAST(:tables AS jsonb) IS NULL OR (n.nspname::text, c.relname::text) IN (
       SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))

-- wraparound_databases: databases whose oldest transaction or multixact id nears the forced freeze; all databases, since one stops them all
WITH age AS (
  SELECT d.datname, f.what, f.age, f.ceiling
  FROM pg_database AS d
  CROSS JOIN LATERAL (VALUES
    ('transaction ids', age(d.datfrozenxid), current_setting('autovacuum_freeze_max_age')::bigint),
    ('multixact ids', mxid_age(d.datminmxid), current_setting('autovacuum_multixact_freeze_max_age')::bigint)
  ) AS f(what, age, ceiling)
)
SELECT 'wraparound_database' AS finding,
       -- beyond twice the limit autovacuum cannot keep up; the server refuses writes at about 2,100 million
       CASE WHEN a.age >= least(2 * a.ceiling, 1500000000) THEN 'critical' ELSE 'warning' END AS severity,
       a.datname::text AS object,
       round(100.0 * a.age / a.ceiling, 1) || ' % (' || a.age || ' ' || a.what || ')' AS value,
       'VACUUM the oldest tables of this database, including system catalogs, before its ids run out; '
         || 'look for old transactions, slots and prepared transactions that prevent it.' AS detail
FROM age AS a WHERE a.age >= 0.9 * a.ceiling
ORDER BY a.age::numeric / a.ceiling DESC

-- wraparound_tables: tables (with their TOAST) that near the forced freeze
WITH age AS (
  SELECT n.nspname || '.' || c.relname AS object, f.what, f.age, f.ceiling
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_class AS toast ON toast.oid = c.reltoastrelid
  CROSS JOIN LATERAL (VALUES
    ('transaction ids', greatest(age(c.relfrozenxid), age(nullif(toast.relfrozenxid, '0'))),
      current_setting('autovacuum_freeze_max_age')::bigint),
    ('multixact ids', greatest(mxid_age(c.relminmxid), mxid_age(nullif(toast.relminmxid, '0'))),
      current_setting('autovacuum_multixact_freeze_max_age')::bigint)
  ) AS f(what, age, ceiling)
  WHERE c.relkind IN ('r', 'm') AND c.relfrozenxid <> '0' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND (CAST(:tables AS jsonb) IS NULL OR (n.nspname::text, c.relname::text) IN (
       SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))
)
SELECT 'wraparound_table' AS finding,
       CASE WHEN a.age >= least(2 * a.ceiling, 1500000000) THEN 'critical' ELSE 'warning' END AS severity,
       a.object AS object,
       round(100.0 * a.age / a.ceiling, 1) || ' % (' || a.age || ' ' || a.what || ')' AS value,
       '`aishell run maintenance --type standard` freezes it; otherwise autovacuum will force a VACUUM of the whole table at 100 %.' AS detail
FROM age AS a WHERE a.age >= 0.9 * a.ceiling
ORDER BY a.age::numeric / a.ceiling DESC

-- checksum_failures: damaged pages that the server has read, in any database; only with check_corruption
SELECT 'checksum_failures' AS finding, 'critical' AS severity, coalesce(d.datname::text, 'shared catalogs') AS object,
       d.checksum_failures || ' pages' AS value,
       'Pages with a bad checksum were read, the last at '
         || coalesce(to_char(d.checksum_last_failure AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), 'an unknown time')
         || ' UTC: check the tables (`aishell run maintenance --type emergency`), the disk and the backups.' AS detail
FROM pg_stat_database AS d
WHERE CAST(:check_corruption AS boolean) AND d.checksum_failures > 0
UNION ALL
SELECT 'checksums_off', 'info', NULL, 'data_checksums = off',
       'The server cannot detect damaged pages: enable checksums with pg_checksums --enable while the server is down.'
WHERE CAST(:check_corruption AS boolean) AND current_setting('data_checksums') = 'off'

-- collation_versions: indexes sorted by a collation that the operating system has changed since
SELECT 'collation_version_changed' AS finding, 'critical' AS severity,
       n.nspname || '.' || c.relname || '.' || x.relname AS object,
       l.collname || ': ' || l.collversion || ' -> ' || v.actual AS value,
       'The library that sorts text has changed: entries may be out of order. REINDEX, then ALTER COLLATION … REFRESH VERSION.' AS detail
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_collation AS l ON l.oid = ANY (i.indcollation::oid[]) AND l.collversion IS NOT NULL
CROSS JOIN LATERAL (SELECT pg_collation_actual_version(l.oid) AS actual) AS v
WHERE c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND v.actual <> l.collversion
  AND (CAST(:tables AS jsonb) IS NULL OR (n.nspname::text, c.relname::text) IN (
       SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))

-- invalid_indexes: indexes that no query can use but every write may maintain
SELECT 'invalid_index' AS finding, CASE WHEN x.relkind = 'I' THEN 'info' ELSE 'warning' END AS severity,
       n.nspname || '.' || c.relname || '.' || x.relname AS object,
       pg_size_pretty(x.relpages * current_setting('block_size')::bigint) AS value,
       CASE WHEN x.relkind = 'I' THEN 'A partitioned index without the indexes of all its partitions: ALTER INDEX … ATTACH PARTITION.'
            WHEN b.pid IS NOT NULL THEN 'It is being built by pid ' || b.pid || ': leave it alone.'
            WHEN x.relname ~ '_cc(new|old)[0-9]*$'
              THEN 'Left by an interrupted REINDEX CONCURRENTLY: drop_invalid_indexes if it was started by aishell, DROP INDEX CONCURRENTLY if no session is building it.'
            ELSE 'Left by a failed CREATE INDEX CONCURRENTLY: DROP INDEX CONCURRENTLY if no session is building it, then create it again.' END AS detail
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_progress_create_index AS b ON b.index_relid = x.oid
WHERE c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND (CAST(:tables AS jsonb) IS NULL OR (n.nspname::text, c.relname::text) IN (
       SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))
  AND NOT (i.indisvalid AND i.indisready AND i.indislive)
ORDER BY x.relpages DESC

-- unused_indexes: indexes of at least 1 MB that no query has used, and since when uses are counted
SELECT 'unused_index' AS finding, 'info' AS severity, n.nspname || '.' || c.relname || '.' || x.relname AS object,
       pg_size_pretty(x.relpages * current_setting('block_size')::bigint) AS value,
       'Not used by any query on this server ' || s.age
         || '; every write maintains it. Check the replicas too before dropping it.' AS detail
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN (SELECT coalesce((SELECT 'since ' || to_char(d.stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD') || ', ' ||
            extract(day FROM now() - d.stats_reset)::int || ' days' FROM pg_stat_database AS d
              WHERE d.datname = current_database()),
         'since the server''s counters began') AS age) AS s
WHERE c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND (CAST(:tables AS jsonb) IS NULL OR (n.nspname::text, c.relname::text) IN (
       SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))
  AND x.relkind = 'i' AND i.indisvalid AND NOT i.indisunique AND NOT i.indisprimary AND NOT i.indisexclusion
    AND NOT i.indisreplident
  AND pg_stat_get_numscans(x.oid) = 0 AND x.relpages * current_setting('block_size')::bigint >= 1048576
  AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x'))
ORDER BY x.relpages DESC

-- duplicate_indexes: indexes that differ only in their names
WITH defined AS (
  SELECT i.indrelid, i.indexrelid, n.nspname || '.' || c.relname AS object, x.relname, x.relpages,
         row(x.relam, i.indkey::text, i.indclass::text, i.indcollation::text, i.indoption::text, i.indnkeyatts, i.indisunique,
             regexp_replace(i.indexprs::text, ':location -?[0-9]+', '', 'g'),
             regexp_replace(i.indpred::text, ':location -?[0-9]+', '', 'g'))::text AS definition,
         i.indisprimary
  FROM pg_index AS i
  JOIN pg_class AS x ON x.oid = i.indexrelid
  JOIN pg_class AS c ON c.oid = i.indrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND (CAST(:tables AS jsonb) IS NULL OR (n.nspname::text, c.relname::text) IN (
         SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))
    AND x.relkind IN ('i', 'I') AND i.indisvalid AND NOT x.relispartition
)
SELECT 'duplicate_index' AS finding, 'warning' AS severity, d.object AS object,
       string_agg(d.relname, ', ' ORDER BY d.indisprimary DESC, d.relname) AS value,
       'These ' || count(*) || ' indexes do the same work; one is enough ('
         || pg_size_pretty(sum(d.relpages * current_setting('block_size')::bigint) - max(d.relpages * current_setting('block_size')::bigint)) || ' and a write each).' AS detail
FROM defined AS d GROUP BY d.indrelid, d.object, d.definition HAVING count(*) > 1
ORDER BY sum(d.relpages) DESC

-- redundant_indexes: non-unique btree indexes whose columns are a prefix of another index's
WITH plain AS (
  SELECT i.indrelid, x.oid, n.nspname || '.' || c.relname AS object, x.relname, x.relpages, i.indisunique,
         i.indkey::text AS columns, i.indclass::text AS classes,
         i.indcollation::text AS collations, i.indoption::text AS options, i.indnkeyatts = i.indnatts AS keys_only,
         EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x', 'f')) AS needed,
         i.indisreplident
  FROM pg_index AS i
  JOIN pg_class AS x ON x.oid = i.indexrelid
  JOIN pg_class AS c ON c.oid = i.indrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_am AS am ON am.oid = x.relam AND am.amname = 'btree'
  WHERE c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND (CAST(:tables AS jsonb) IS NULL OR (n.nspname::text, c.relname::text) IN (
         SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))
    AND x.relkind IN ('i', 'I') AND i.indisvalid AND NOT x.relispartition AND i.indexprs IS NULL AND i.indpred IS NULL
)
SELECT 'redundant_index' AS finding, 'info' AS severity, s.object || '.' || s.relname AS object,
       pg_size_pretty(s.relpages * current_setting('block_size')::bigint) AS value,
       'Its columns are the first of ' || string_agg(l.relname, ', ' ORDER BY l.relname)
         || ', which can serve the same queries.' AS detail
FROM plain AS s
JOIN plain AS l ON l.indrelid = s.indrelid AND l.columns LIKE s.columns || ' %' AND l.classes LIKE s.classes || ' %'
  AND l.collations LIKE s.collations || ' %' AND l.options LIKE s.options || ' %'
WHERE NOT s.indisunique AND s.keys_only AND NOT s.needed AND NOT s.indisreplident
GROUP BY s.object, s.relname, s.relpages
ORDER BY s.relpages DESC

-- missing_primary_keys: tables without a primary key
SELECT 'missing_primary_key' AS finding, 'warning' AS severity, n.nspname || '.' || c.relname AS object,
       greatest(c.reltuples, 0)::bigint || ' rows' AS value,
       'Nothing identifies a row: logical replication cannot update rows, and deleting in batches is slower.' AS detail
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'
  AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT 1 FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary)
  AND (CAST(:tables AS jsonb) IS NULL OR (n.nspname::text, c.relname::text) IN (
       SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))
ORDER BY c.reltuples DESC, 3

-- long_transactions: sessions whose transaction holds back VACUUM: open for an hour (idle in transaction: ten minutes)
SELECT CASE WHEN a.state LIKE 'idle in transaction%' THEN 'idle_in_transaction' ELSE 'long_transaction' END AS finding,
       CASE WHEN a.xact_start < now() - interval '1 day' THEN 'critical' ELSE 'warning' END AS severity,
       format('pid %s, user %s, application %s', a.pid, a.usename, coalesce(nullif(a.application_name, ''), 'unnamed')) AS object,
       extract(epoch FROM now() - a.xact_start)::bigint || ' s' AS value,
       'VACUUM cannot remove rows deleted since it began; have its owner end it (state ' || coalesce(a.state, 'hidden')
         || ', database ' || a.datname || ').' AS detail
FROM pg_stat_activity AS a
WHERE a.pid <> pg_backend_pid() AND a.backend_type NOT IN ('autovacuum worker', 'walsender')
  AND (a.xact_start < now() - interval '1 hour' OR a.state LIKE 'idle in transaction%'
    AND a.xact_start < now() - interval '10 minutes')
ORDER BY a.xact_start

-- blind_spots: what this role may not see, so that a missing finding proves nothing
SELECT 'hidden_sessions' AS finding, 'warning' AS severity, current_user::text AS object, count(*) || ' sessions' AS value,
       'Their transactions are hidden, so old ones are not reported here: GRANT pg_monitor to this role.' AS detail
FROM pg_stat_activity AS a WHERE a.datname IS NOT NULL AND a.backend_type IS NULL
HAVING count(*) > 0
UNION ALL
SELECT 'hidden_statistics', 'info', current_user::text, count(*) || ' tables',
       'Their column statistics are hidden, so there is no bloat estimate: GRANT pg_read_all_data (version 14 on) or SELECT to this role.'
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT has_table_privilege(c.oid, 'SELECT')
  AND (CAST(:tables AS jsonb) IS NULL OR (n.nspname::text, c.relname::text) IN (
       SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))
HAVING count(*) > 0

-- prepared_transactions: two-phase transactions that were never finished
SELECT 'prepared_transaction' AS finding,
       CASE WHEN p.prepared < now() - interval '1 day' THEN 'critical' ELSE 'warning' END AS severity,
       p.gid AS object, extract(epoch FROM now() - p.prepared)::bigint || ' s' AS value,
       'It survives restarts, keeps its locks and holds back VACUUM: COMMIT PREPARED or ROLLBACK PREPARED (owner ' || p.owner
         || ', database ' || p.database || ').' AS detail
FROM pg_prepared_xacts AS p WHERE p.prepared < now() - interval '10 minutes'
ORDER BY p.prepared

-- replication: replication slots and standbys that hold back VACUUM or keep WAL
SELECT CASE WHEN s.active THEN 'replication_slot' WHEN k.own THEN 'backup_slot' ELSE 'inactive_replication_slot' END AS finding,
       CASE WHEN h.age >= 200000000 OR k.lost THEN 'critical'
            WHEN k.own AND NOT s.active AND k.wal <= pg_size_bytes(current_setting('max_wal_size')) THEN 'info'
            ELSE 'warning' END AS severity,
       s.slot_name::text AS object,
       concat_ws(', ', CASE WHEN h.age > 0 THEN 'xmin ' || h.age || ' transactions old' END,
         'WAL kept: ' || coalesce(pg_size_pretty(k.wal), 'none')) AS value,
       CASE WHEN k.own AND k.lost
              THEN 'It belongs to aishell, for increments of physical backups, and the server has removed WAL that the next one needs: '
                || 'make a full physical backup, which creates the slot again.'
            WHEN k.own AND NOT s.active
              THEN 'It belongs to aishell: the next increment of a physical backup takes the WAL from here on (' || k.kept
                || '). Do not drop it while increments are made: each one lets the server remove the WAL of the one before.'
            WHEN k.lost THEN 'The server has removed WAL that its consumer needs: set up the consumer again, and drop the slot.'
            WHEN s.active THEN 'Its consumer is far behind: VACUUM cannot remove what it may still need (' || k.kept || ').'
            WHEN k.kept = '' THEN 'No consumer reads from it, and it retains nothing: drop it if its consumer is gone.'
            ELSE 'No consumer reads from it, and it retains ' || k.kept
              || ': drop it if its consumer is gone for good (pg_drop_replication_slot).' END AS detail
FROM pg_replication_slots AS s
CROSS JOIN LATERAL (SELECT greatest(age(s.xmin), age(s.catalog_xmin), 0) AS age) AS h
CROSS JOIN LATERAL (SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
  ELSE pg_current_wal_lsn() END, s.restart_lsn) AS wal) AS w
-- A slot retains WAL from restart_lsn on, dead rows from xmin on, and dead rows of the system catalogs from catalog_xmin on. `own` is
-- a slot created by a physical backup of aishell (named in aishell/backups/postgresql/wal.py); an invalidated slot has lost its WAL.
CROSS JOIN LATERAL (SELECT w.wal, coalesce(to_jsonb(s) ->> 'wal_status', '') = 'lost' AS lost,
  s.slot_type = 'physical' AND s.slot_name::text ~ '^aishell_[0-9a-f]{8}$' AS own,
  concat_ws(' and ', pg_size_pretty(w.wal) || ' of WAL',
    CASE WHEN s.xmin IS NOT NULL THEN 'dead rows' WHEN s.catalog_xmin IS NOT NULL THEN 'dead rows of the system catalogs' END) AS kept) AS k
WHERE NOT s.active OR h.age >= 10000000
UNION ALL
SELECT 'standby_holds_back_vacuum', CASE WHEN age(r.backend_xmin) >= 200000000 THEN 'critical' ELSE 'warning' END,
       coalesce(nullif(r.application_name, ''), 'pid ' || r.pid), 'xmin ' || age(r.backend_xmin) || ' transactions old',
       'A long query on this standby (hot_standby_feedback) keeps VACUUM from removing rows here.'
FROM pg_stat_replication AS r WHERE age(r.backend_xmin) >= 10000000

-- sequences: sequences that have used 80 % of their range, or of the range of the column they fill
WITH owned AS (
  SELECT d.objid, c.oid, n.nspname, c.relname, a.attname,
         CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 END AS column_max
  FROM pg_depend AS d
  JOIN pg_class AS c ON c.oid = d.refobjid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
), used AS (
  SELECT m.nspname || '.' || x.relname AS object, o.nspname || '.' || o.relname || '.' || o.attname AS fills, v.value,
         CASE WHEN s.seqincrement > 0 THEN least(s.seqmax, coalesce(o.column_max, s.seqmax)) ELSE s.seqmin END AS last_one,
         CASE WHEN s.seqincrement > 0 THEN s.seqmin ELSE s.seqmax END AS first_one
  FROM pg_sequence AS s
  JOIN pg_class AS x ON x.oid = s.seqrelid AND x.relpersistence <> 't'
  JOIN pg_namespace AS m ON m.oid = x.relnamespace
  LEFT JOIN owned AS o ON o.objid = s.seqrelid
  -- NULL without USAGE or SELECT on the sequence (pg_read_all_data has it)
  CROSS JOIN LATERAL (SELECT CASE WHEN has_sequence_privilege(x.oid, 'USAGE,SELECT')
    AND NOT (pg_is_in_recovery() AND x.relpersistence = 'u')
                                  THEN pg_sequence_last_value(CAST(x.oid AS regclass)) END AS value) AS v
  WHERE NOT s.seqcycle
    AND (CAST(:tables AS jsonb) IS NULL OR (o.nspname::text, o.relname::text) IN (
       SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))
), share AS (
  SELECT u.object, u.fills, u.value, u.last_one,
         trunc(100 * (u.value::numeric - u.first_one) / nullif(u.last_one::numeric - u.first_one, 0), 1) AS percent
  FROM used AS u WHERE u.value IS NOT NULL
)
SELECT 'sequence_near_end' AS finding, CASE WHEN s.percent >= 95 THEN 'critical' ELSE 'warning' END AS severity,
       s.object AS object,
       s.percent || ' % (' || s.value || ' of ' || s.last_one || ')' AS value,
       'Inserts fail at its end' || coalesce(' (it fills ' || s.fills || ')', '')
         || ': change the column and the sequence to bigint before then.' AS detail
FROM share AS s WHERE s.percent >= 80
ORDER BY s.percent DESC

-- autovacuum_lagging: tables with more dead rows than autovacuum should allow, or without autovacuum
WITH relation AS (
  SELECT n.nspname || '.' || c.relname AS object, pg_stat_get_dead_tuples(c.oid) AS dead, greatest(c.reltuples, 0) AS rows,
         least(coalesce(substring(array_to_string(c.reloptions, ',') FROM '(?:^|,)autovacuum_vacuum_threshold=([0-9.]+)')::float8,
           current_setting('autovacuum_vacuum_threshold')::float8)
               + coalesce(substring(array_to_string(c.reloptions,
                 ',') FROM '(?:^|,)autovacuum_vacuum_scale_factor=([0-9.]+)')::float8,
                 current_setting('autovacuum_vacuum_scale_factor')::float8) * greatest(c.reltuples, 0),
               -- version 18 on; -1 means no limit
               nullif(current_setting('autovacuum_vacuum_max_threshold', true), '-1')::float8) AS threshold,
         greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed,
         array_to_string(c.reloptions, ',') ~ '(^|,)autovacuum_enabled=(false|off|no|0|f|n)' AS disabled
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND (CAST(:tables AS jsonb) IS NULL OR (n.nspname::text, c.relname::text) IN (
       SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))
)
SELECT 'autovacuum_lagging' AS finding, CASE WHEN r.dead > 2 * r.threshold THEN 'warning' ELSE 'info' END AS severity,
       r.object AS object,
       r.dead || ' dead rows' AS value,
       'Autovacuum should start at ' || ceil(r.threshold) || '; last vacuum: '
         || coalesce(to_char(r.vacuumed AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC', 'never')
         || '. Now: `aishell run maintenance --type standard`; permanently: more autovacuum workers, or less throttling.' AS detail
FROM relation AS r WHERE r.dead > r.threshold
UNION ALL
SELECT 'autovacuum_disabled', 'warning', r.object, 'autovacuum_enabled = off',
       'Autovacuum skips this table: ALTER TABLE … RESET (autovacuum_enabled), unless that is intended.'
FROM relation AS r WHERE r.disabled
ORDER BY 1, 4 DESC

-- settings: settings that endanger the data or make maintenance useless
SELECT 'setting' AS finding, r.severity AS severity, s.name AS object, s.name || ' = ' || s.setting AS value, r.detail AS detail
FROM (VALUES
  ('autovacuum', 'off', 'critical', 'Dead rows accumulate and statistics become stale: ALTER SYSTEM SET autovacuum = on.'),
  ('track_counts', 'off', 'critical', 'Autovacuum and aishell cannot see what changed: ALTER SYSTEM SET track_counts = on.'),
  ('fsync', 'off', 'critical', 'A crash can destroy the whole cluster: ALTER SYSTEM SET fsync = on.'),
  ('full_page_writes', 'off', 'critical',
    'A crash can leave torn pages that nothing repairs, unless the file system prevents them.'),
  ('zero_damaged_pages', 'on', 'critical', 'Reading a damaged page silently deletes its rows.'),
  ('ignore_checksum_failure', 'on', 'critical', 'Damaged pages are read as if they were intact.'),
  ('ignore_system_indexes', 'on', 'warning', 'System catalogs are read without their indexes: intended for repairs only.'),
  ('track_activities', 'off', 'warning', 'Old transactions are not visible: ALTER SYSTEM SET track_activities = on.')
) AS r(name, bad, severity, detail)
JOIN pg_settings AS s ON s.name = r.name AND s.setting = r.bad
UNION ALL
SELECT 'reindex_concurrently_corrupts', 'critical', 'server version', current_setting('server_version'),
       'CREATE INDEX and REINDEX CONCURRENTLY can corrupt indexes on 14.0 to 14.3 (bug 17485): update to 14.4 or later; until then aishell rebuilds no index.'
WHERE (current_setting('server_version_num')::int BETWEEN 140000 AND 140003)

-- never_analyzed: tables without planner statistics
SELECT 'never_analyzed' AS finding, 'info' AS severity, NULL AS object, count(*) || ' tables' AS value,
       'The query planner has no statistics for them: run `aishell run maintenance --type quick`. The largest: '
         || string_agg(r.object, ', ' ORDER BY r.live DESC) FILTER (WHERE r.place <= 5) || '.' AS detail
FROM (
  SELECT n.nspname || '.' || c.relname AS object, s.live, row_number() OVER (ORDER BY s.live DESC, n.nspname, c.relname) AS place
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT pg_stat_get_live_tuples(c.oid) AS live) AS s
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND s.live > 0 AND pg_stat_get_last_analyze_time(c.oid) IS NULL AND pg_stat_get_last_autoanalyze_time(c.oid) IS NULL
    AND (CAST(:tables AS jsonb) IS NULL OR (n.nspname::text, c.relname::text) IN (
       SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))
) AS r
HAVING count(*) > 0

-- bloat: unused space in tables, estimated from statistics; at least 1 MB
WITH target AS MATERIALIZED (
  SELECT c.oid, n.nspname AS schema_name, c.relname, c.relkind, c.reltuples, c.relpages AS pages,
         coalesce(substring(array_to_string(c.reloptions, ',') FROM 'fillfactor=([0-9]+)')::int, 100) AS fillfactor,
         am.amname, false AS held,
         -- unlogged tables are empty on a standby
         c.relkind IN ('r', 'm') AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery()) AS stored,
         pg_stat_get_mod_since_analyze(c.oid) AS modified,
         greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed,
         greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_class AS toast ON toast.oid = c.reltoastrelid
  LEFT JOIN pg_am AS am ON am.oid = c.relam
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND (CAST(:tables AS jsonb) IS NULL OR (n.nspname::text, c.relname::text) IN (
       SELECT w."schema", w."table" FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)))
),
-- include: table_estimate,
bloat AS (
  SELECT e.schema_name || '.' || e.relname AS object, e.withheld, e.pages * current_setting('block_size')::bigint AS bytes,
         CASE WHEN e.withheld IS NULL THEN e.pages * current_setting('block_size')::bigint * e.percent / 100 END AS free,
         row_number() OVER (ORDER BY CASE WHEN e.withheld IS NULL THEN e.pages * e.percent END DESC NULLS LAST, e.schema_name,
           e.relname) AS place
  FROM estimate AS e
)
SELECT 'disk_bloat' AS finding,
       CASE WHEN sum(b.free) > 1073741824 AND sum(b.free) > 0.2 * sum(b.bytes) THEN 'warning' ELSE 'info' END AS severity,
       NULL AS object, pg_size_pretty(sum(b.free)::bigint) || ' of ' || pg_size_pretty(sum(b.bytes)::bigint) AS value,
       'Estimated unused space in tables (without indexes and TOAST); no figure for ' || count(*)
         FILTER (WHERE b.withheld IS NOT NULL) || ' tables. Most in: '
         || string_agg(b.object, ', ' ORDER BY b.place) FILTER (WHERE b.place <= 5 AND b.free > 0) || '.' AS detail
FROM bloat AS b
HAVING sum(b.free) >= 1048576
