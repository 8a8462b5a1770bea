-- CTE `result`: `estimate` with the columns of a measurement.

result AS (
  SELECT e.oid, e.schema_name, e.relname, e.relkind, e.pages * current_setting('block_size')::bigint AS bytes,
         CASE WHEN e.withheld IS NULL THEN e.pages * current_setting('block_size')::bigint * e.percent / 100 END AS reclaimable_bytes,
         CASE WHEN e.withheld IS NULL THEN 'estimate from statistics' END AS method,
         CASE WHEN e.withheld IS NULL THEN 5 END AS error_points,
         e.withheld
  FROM estimate AS e
)
