-- name: inspect_partitions
-- engine: mysql >= 8, mariadb >= 10.6
-- category: analysis
-- risk: safe
-- capabilities: [database_read, schema_analyze]
-- runs: query
-- max_execution_time: 60
-- idempotent: true
-- parameters:
--   schema: {type: identifier, description: "the name of the database"}
--   table: {type: identifier}
--   date_column: {type: identifier, description: the column with the date of a row}
--   cutoff: {type: scalar, description: rows whose date is before this are old}
-- returns:
--   partitions: rows(partitions)
-- examples: [{params: {schema: shop, table: app_log, date_column: created_at, cutoff: '2026-01-01 00:00:00'}}]
--
-- List the partitions of a table that contain only rows older than a cut-off date, and the reason why each other one is kept. A
-- table that is not partitioned has none. Reads the catalog only: no partition is read. Understands RANGE over TO_DAYS(),
-- YEAR() and UNIX_TIMESTAMP() of the date column or over the column itself, and RANGE COLUMNS of that column alone. Row counts
-- are the engine's statistics; bytes are file sizes with PROCESS, and statistics without.

-- partitions: the partitions, oldest first; `stays`: why it must not be dropped, NULL if it may be
WITH
-- include [mariadb with process]: file_mariadb,
-- include [mysql with process]: file_mysql,
-- include [without process]: file_unseen,
-- include: log_partitions
SELECT p.name AS `partition`, p.bound AS bound, p.n_rows AS `rows`, p.n_bytes AS bytes, p.bytes_method AS bytes_method, p.old AS old, p.stays AS stays
  FROM part AS p
 ORDER BY p.position
