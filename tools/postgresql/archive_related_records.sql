-- name: archive_related_records
-- engine: postgresql >= 12
-- category: database_read
-- risk: low
-- capabilities: [database_read, file_write]
-- runs: batched
-- archives: write
-- transaction: none
-- lock: ACCESS SHARE
-- locks_too: {referring: ACCESS SHARE}
-- max_execution_time: 600
-- privileges: [SELECT]
-- idempotent: true
-- batch: 5
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   date_column: {type: identifier, description: the column with the date of a row}
--   cutoff: {type: scalar, description: archive rows whose date is before this}
--   filters: {type: filters, default: [], description: 'further conditions, all of which must hold: {column, operator, value}'}
--   columns: {type: columns, description: 'the columns that inspect_archive_columns returns: {column, type, form}'}
--   relatives: {type: relatives, description: 'the tables whose rows are deleted or changed with these, and the foreign keys between them'}
--   indexed: {type: boolean, default: false, description: whether an index begins with the date; batches then end at the newest old row}
--   path: {type: string, default: '', description: subfolder of the archive folder}
--   format: {type: string, default: jsonl, enum: [jsonl, csv, parquet]}
--   batch_target_ms: {type: number, editable: true, default: 100, minimum: 1, description: how long a batch may take}
--   max_rows: {type: integer, editable: true, default: null, minimum: 1, description: 'stop after this many rows of the table itself'}
--   sleep: {type: number, editable: true, default: 0, minimum: 0, description: seconds between two batches}
-- forms: {plain: '{column}', text: 'CAST({column} AS text)'}
-- lists:
--   selected: '{form} AS {column}'
--   rows:
--     over: tables
--     each: >-
--       WHEN {number} THEN (SELECT CAST(row_to_json(r.*) AS text) FROM (SELECT {selected} FROM {named} AS t
--       WHERE t.tableoid = g.relation AND t.ctid = g.place) AS r)
--     between: ' '
--   edges:
--     over: edges
--     each: >-
--       SELECT {child_number} AS part, c.tableoid AS relation, c.ctid AS place FROM {parent} AS p JOIN {child} AS c ON {on}
--       WHERE g.part = {parent_number} AND p.tableoid = g.relation AND p.ctid = g.place
--     between: ' UNION ALL '
-- returns:
--   archive_path: first(batches.archive_path)
--   archive_id: first(batches.archive_id)
--   rows_archived: {from: sum(batches.rows_archived), description: rows of the table itself}
--   relatives_archived: {from: sum(batches.relatives_archived), description: rows of other tables that are deleted or changed with them}
--   archive_bytes: sum(batches.archive_bytes)
--   batches: sum(batches.batches)
-- examples:
--   - params: {schema: public, table: orders, date_column: created_at, cutoff: '2026-01-01 00:00:00', path: '',
--       columns: [{column: id, type: bigint, form: plain}],
--       relatives: {tables: [{schema: public, table: items, columns: [{column: id, type: bigint, form: plain}]}],
--         edges: [{parent: 0, child: 1, pairs: [[order_id, id]]}]}}
--
-- Copy the rows of one table older than a cut-off date into an archive, with all rows of other tables that deleting them would
-- delete or change. Rows reached by ON DELETE CASCADE, over any number of steps, are copied whole; of rows reached by SET NULL
-- or SET DEFAULT, the key and the values that will be lost. Otherwise like archive_old_records: a range of pages at a time,
-- with a count and a checksum by the database, in the versions that existed when the archive began. Before PostgreSQL 14 a
-- range of pages cannot be scanned by itself, so every possible row position (ctid) on these pages is looked up there (measured
-- on rows of 230 bytes: about five times slower than reading the range).

-- find: the number of pages of the table, and the transaction from which on its rows are too new
SELECT n.nspname AS schema, c.relname AS "table", c.oid::text AS oid, 0 AS position,
       pg_relation_size(c.oid) / current_setting('block_size')::bigint AS finish,
       CASE WHEN c.relpages > 0 AND c.reltuples > 0 THEN (c.reltuples / c.relpages)::float8 ELSE 50 END AS rows_per_unit,
       pg_relation_filenode(c.oid)::text AS filenode,
-- include [>= 14]: horizon
-- include [< 14]: horizon_before_14
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table AND c.relkind = 'r'

-- include: same_name

-- newest: the page after the newest row before the cut-off, whether or not it matches the filters
SELECT CAST((CAST(CAST(ctid AS text) AS point))[0] AS bigint) + 1 AS upto
FROM {schema}.{table} WHERE {date_column} < :cutoff ORDER BY {date_column} DESC LIMIT 1

-- next: the page after the batch
SELECT least(CAST(:position AS bigint) + CAST(:size AS bigint), CAST(:finish AS bigint)) AS upto
WHERE CAST(:position AS bigint) < CAST(:finish AS bigint)

-- do: the old rows of these pages and all rows deleted or changed with them, one line each
WITH RECURSIVE
own (relation, place) AS (
    SELECT tableoid, ctid FROM {schema}.{table}
     WHERE
-- include [>= 14]: page_range
-- include [< 14]: page_range_before_14
       AND (age(xmin) > age(CAST(CAST(:horizon AS text) AS xid)) OR age(xmin) < 0)
       AND {date_column} < :cutoff{filters}
),
-- include: related_rows
SELECT k.part, k.rows, CASE WHEN octet_length(k.lines) < 67108864 THEN k.lines END AS lines,
       CASE WHEN getdatabaseencoding() IN ('UTF8', 'SQL_ASCII') THEN md5(k.lines)
            ELSE md5(convert_to(k.lines, 'UTF8')) END AS checksum
FROM (SELECT part, count(*) AS rows, string_agg(line, E'\n') AS lines FROM kept GROUP BY part) AS k

-- verify: the table has not been rewritten meanwhile, and has no more of these rows than were archived
SELECT pg_relation_filenode(CAST(CAST(:oid AS text) AS oid)) = CAST(CAST(:filenode AS text) AS oid) AS ok, count(*) AS rows_now
FROM {schema}.{table}
WHERE ctid < CAST('(' || CAST(:upto AS bigint) || ',0)' AS tid)
  AND (age(xmin) > age(CAST(CAST(:horizon AS text) AS xid)) OR age(xmin) < 0)
  AND {date_column} < :cutoff{filters}
