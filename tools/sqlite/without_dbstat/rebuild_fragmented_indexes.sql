-- name: rebuild_fragmented_indexes
-- engine: sqlite >= 3.35 without dbstat
-- category: maintenance
-- risk: medium
-- capabilities: [database_read, index_manage]
-- runs: each
-- transaction: none
-- lock: RESERVED
-- max_execution_time: 3600
-- privileges: [WRITE]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   fragmentation_threshold: {type: number, editable: true, default: 30, minimum: 0, maximum: 100, description: "rebuild an index if at least this percentage of its pages would be freed"}
--   min_index_size: {type: integer, editable: true, default: 1048576, minimum: 0, description: "bytes; smaller indexes are left alone"}
-- returns:
--   indexes_rebuilt: count(ok)
--   bytes_before: sum(find.bytes)
--   bytes_after: sum(verify.bytes)
--   failed: rows(failed)
-- examples: [{params: {schema: main, table: orders}}]
--
-- Rebuild nothing: this SQLite was built without dbstat, so the fragmentation of an index is not known. No index is rebuilt on
-- a guess. VACUUM (optimize_table) packs all indexes anyway.

-- find: no row, whatever the threshold; the columns are those of the variant with dbstat
SELECT i.name AS index_name, i.sql AS definition, NULL AS bytes, NULL AS pages, NULL AS unused, NULL AS fragmentation
  FROM {schema}.sqlite_schema AS i
 WHERE i.type = 'index' AND i.tbl_name = :table
   AND NULL >= :min_index_size AND NULL >= :fragmentation_threshold

-- do: never reached, because `find` returns no row
REINDEX {schema}.{index_name}

-- verify: without dbstat there is nothing to verify
SELECT 0 AS ok, NULL AS bytes
