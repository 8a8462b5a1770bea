-- name: count_table_rows
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 1800
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
--   table: {type: identifier}
--   exact: {type: boolean, default: false, description: count every row}
-- returns:
--   row_count: {from: first(count.row_count), type: [integer, 'null']}
--   method: first(count.method)
-- examples: [{params: {schema: public, table: orders}}]
--
-- Count the rows of a table, partitioned table or view, or estimate their number. The estimate costs nothing: it is the row
-- density of the last VACUUM or ANALYZE times the present size, as in the query planner; there is none for views, foreign
-- tables and tables never analyzed. An exact count reads the whole table: it is safe, but takes as long as the table is large.
-- Needs SELECT on the table, and waits while another session has locked it against reading.

-- count: one row
WITH RECURSIVE target AS (
  SELECT c.oid, c.relkind FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = CAST(:schema AS text) AND c.relname = CAST(:table AS text)
),
-- include: partition_tree,
-- include: held,
estimate AS (
  SELECT CASE WHEN bool_and(c.reltuples >= 0 AND (c.relpages > 0 OR c.reltuples > 0 OR pg_stat_get_live_tuples(c.oid) = 0))
         THEN sum(CASE WHEN c.relpages > 0 AND h.relation IS NULL
                       THEN c.reltuples / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::int)
                       ELSE c.reltuples END)::bigint END AS rows
  FROM tree AS p
  JOIN pg_class AS c ON c.oid = p.oid AND c.relkind IN ('r', 'm')
  LEFT JOIN LATERAL (SELECT k.relation FROM held AS k WHERE k.relation IN (c.oid, c.reltoastrelid) LIMIT 1) AS h ON true
)
SELECT CASE WHEN CAST(:exact AS boolean) THEN (SELECT count(*) FROM {schema}.{table}) ELSE e.rows END AS row_count,
       CASE WHEN CAST(:exact AS boolean) THEN 'exact'
            WHEN e.rows IS NULL THEN 'estimate: none, it was never analyzed or keeps no statistics; ask for exact'
            ELSE 'estimate: row density of the last VACUUM or ANALYZE times the present size' END AS method
FROM estimate AS e
