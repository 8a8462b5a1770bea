-- name: inspect_partitions
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   date_column: {type: identifier, description: the column with the date of a row}
--   cutoff: {type: scalar, description: rows whose date is before this are old}
-- returns:
--   partitions: rows(partitions)
--   leaves: rows(leaves)
-- examples: [{params: {schema: public, table: app_log, date_column: created_at, cutoff: '2026-01-01 00:00:00+00'}}]
--
-- List the partitions of a table that contain only rows older than a cut-off date, and the reason why each other one is kept.
-- Also lists the leaf tables of the kept partitions that may contain old rows. A table that is not partitioned has neither.
-- Reads the catalog only: no partition is read, and no lock is waited for. Bounds are compared as the column's own type orders
-- them.

-- partitions: the direct partitions, oldest first; `stays`: why it must not be dropped, NULL if it may be
WITH
-- include: held,
-- include: log_partitions
-- include: partition_columns,
CASE WHEN p.by_date AND NOT p.unknown THEN p.old END AS old, p.stays AS stays, p.partition_oid = p.partdefid AS is_default
FROM part AS p
ORDER BY p.at, p.number, p.partition

-- leaves: the leaf tables of the partitions that are kept, except those that cannot contain old rows
WITH RECURSIVE
-- include: held,
-- include: log_partitions,
below AS (
  SELECT p.partition_oid AS oid, p.relkind, p.at, p.number FROM part AS p WHERE p.stays IS NOT NULL AND NOT p.young
  UNION ALL
  SELECT k.oid, k.relkind, b.at, b.number
  FROM below AS b
  JOIN pg_inherits AS i ON i.inhparent = b.oid AND b.relkind = 'p'
  JOIN pg_class AS k ON k.oid = i.inhrelid
)
SELECT n.nspname AS schema, c.relname AS "table", CASE c.relkind WHEN 'f' THEN 'foreign' ELSE 'partition' END AS kind,
       CAST(c.oid AS text) AS oid,
       -- -1 (before version 14: 0, with 0 pages) until the first VACUUM or ANALYZE
       CASE WHEN c.reltuples > 0 OR c.reltuples = 0 AND (c.relpages > 0 OR pg_stat_get_live_tuples(c.oid) = 0)
            THEN CAST(c.reltuples AS bigint) END AS rows,
       c.relpages * CAST(current_setting('block_size') AS bigint) AS bytes
FROM below AS b JOIN pg_class AS c ON c.oid = b.oid AND b.relkind <> 'p' JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY b.at, b.number, n.nspname, c.relname
