-- name: delete_archived_records
-- engine: postgresql >= 12
-- category: database_write
-- risk: medium
-- capabilities: [database_read, database_write]
-- runs: batched
-- archives: delete
-- transaction: none
-- lock: ROW EXCLUSIVE
-- locks_too: {referring: ROW EXCLUSIVE}
-- max_execution_time: 600
-- privileges: [SELECT, DELETE]
-- idempotent: true
-- deletes: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   date_column: {type: identifier, description: the column with the date of a row}
--   cutoff: {type: scalar, description: 'the cut-off date of the archive'}
--   filters: {type: filters, default: [], description: 'the further conditions of the archive'}
--   columns: {type: columns, default: null, description: 'the archive''s columns: {column, type, form}'}
--   archive: {type: string, description: the archive that contains the rows}
--   watched: {type: identifier_list, default: [], description: 'the tables whose rows are deleted, as {schema, table}'}
--   acting: {type: integer, default: 0, minimum: 0, description: number of foreign keys referencing them that act on a delete}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
--   cascades: {type: object, default: {}, description: 'rows of other tables that are deleted or changed with these, by table'}
--   changes: {type: object, default: {}, description: 'of those, the rows that are changed and kept, by table'}
-- forms: {plain: '{column}', text: 'CAST({column} AS text)'}
-- lists: {selected: '{form} AS {column}'}
-- returns:
--   rows_deleted: sum(batches.rows_deleted)
--   batches: sum(batches.batches)
--   longest_batch_ms: max(batches.longest_batch_ms)
--   uncounted_batches: {from: sum(batches.uncounted_batches), description: interruptions after which a batch may be missing from the count}
--   rows_uncounted: {from: max(batches.rows_uncounted), description: 'upper limit of the rows missing from the count, null if unknown'}
--   rows_left: {from: sum(batches.rows_left), description: archived rows that stay}
--   remaining: {from: total(batches.remaining), description: old rows that remain; null if the run stopped early}
-- undo:
--   tool: load_archive
--   how: the archived rows are loaded again
--   when: '${output.rows_left} == 0'
--   params: {schema: '${params.schema}', table: '${params.table}', archive: '${params.archive}', columns: '${params.columns}'}
-- examples:
--   - params: {schema: public, table: app_log, date_column: created_at, cutoff: '2026-01-01 00:00:00+00', archive: /var/a}
--
-- Delete the rows that an archive contains, a chunk at a time, after reading back and checking the chunk. Only row versions
-- from before the archive began are deleted: rows inserted or changed since stay for the next run. All rows stay if the table
-- has been rewritten since (VACUUM FULL, CLUSTER), because its pages are then not those of the archive. Before PostgreSQL 14 a
-- range of pages cannot be scanned by itself, so every possible row position (ctid) on these pages is looked up there (measured
-- on rows of 230 bytes: about five times slower than reading the range).

-- find: the table
SELECT n.nspname AS schema, c.relname AS "table", c.oid::text AS oid, pg_table_size(c.oid) AS bytes,
-- include: references_changed
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table AND c.relkind = 'r'

-- include: same_name

-- stands: the archived rows of these pages that are unchanged, by the MD5 of their lines
SELECT string_agg(CASE WHEN getdatabaseencoding() IN ('UTF8', 'SQL_ASCII') THEN md5(r.line) ELSE md5(convert_to(r.line, 'UTF8')) END, ',')
         AS sums
FROM (SELECT row_to_json(t.*)::text AS line
      FROM (SELECT {selected} FROM ONLY {schema}.{table}
            WHERE tableoid = CAST(CAST(:oid AS text) AS oid) AND
-- include [>= 14]: page_range
-- include [< 14]: page_range_before_14
              AND pg_relation_filenode(CAST(CAST(:oid AS text) AS oid)) = CAST(CAST(:filenode AS text) AS oid)
              AND (age(xmin) > age(CAST(CAST(:horizon AS text) AS xid)) OR age(xmin) < 0)
              AND {date_column} < :cutoff{filters}) AS t) AS r

-- do: delete the archived rows of these pages
DELETE FROM ONLY {schema}.{table}
WHERE tableoid = CAST(CAST(:oid AS text) AS oid) AND
-- include [>= 14]: page_range
-- include [< 14]: page_range_before_14
  AND pg_relation_filenode(CAST(CAST(:oid AS text) AS oid)) = CAST(CAST(:filenode AS text) AS oid)
  AND (age(xmin) > age(CAST(CAST(:horizon AS text) AS xid)) OR age(xmin) < 0)
  AND {date_column} < :cutoff{filters}

-- verify: no old row is left on the archive's pages, or on any page if the archive is of the whole table
SELECT count(*) = 0 AS ok, count(*) AS remaining
FROM ONLY {schema}.{table}
WHERE ctid < CAST('(' || CASE WHEN CAST(:whole AS boolean) THEN 4294967294 ELSE CAST(:upto AS bigint) END || ',0)' AS tid)
  AND {date_column} < :cutoff{filters}
