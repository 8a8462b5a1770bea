-- CTE `result`: the unused space of each table in `plan`, measured as the plan says.

result AS (
  -- The functions are strict: given NULL they do not run and return NULLs.
  SELECT p.oid, p.schema_name, p.relname, p.relkind, part.bytes,
         CASE WHEN p.way IN ('exact', 'approximate')
           THEN (part.free_pages + coalesce(part.free_toast_pages, 0)) * current_setting('block_size')::bigint
              WHEN p.way = 'estimate' AND p.withheld IS NULL THEN p.heap_bytes * p.percent / 100 END AS reclaimable_bytes,
         CASE WHEN p.way = 'exact' THEN 'pgstattuple (table and TOAST)' WHEN p.way = 'approximate' THEN 'pgstattuple_approx'
              WHEN p.way = 'estimate' AND p.withheld IS NULL THEN 'estimate from statistics' END AS method,
         -- A page cannot be filled beyond its last whole row: on average half a row per page stays unused after any rewrite.
         CASE WHEN p.way = 'exact' THEN 0 WHEN p.way = 'approximate' THEN 1 WHEN p.way = 'estimate' AND p.withheld IS NULL
           THEN 5 END
           + 50 * part.row_bytes / greatest(part.bytes, 1) / current_setting('block_size')::bigint AS error_points,
         CASE p.way WHEN 'nothing' THEN p.withheld WHEN 'estimate' THEN 'too large to measure; ' || p.withheld END AS withheld
  FROM plan AS p
  CROSS JOIN LATERAL pgstattuple(CAST(CASE WHEN p.way = 'exact' THEN p.oid END AS regclass)) AS heap
  CROSS JOIN LATERAL pgstattuple(CAST(CASE WHEN p.way = 'exact' THEN p.toast END AS regclass)) AS toast
  CROSS JOIN LATERAL pgstattuple_approx(CAST(CASE WHEN p.way = 'approximate' THEN p.oid END AS regclass)) AS near
  CROSS JOIN LATERAL (
    SELECT p.heap_bytes + CASE WHEN p.way = 'exact' THEN p.toast_bytes ELSE 0 END AS bytes,
           -- a file shrinks by whole pages
           floor(p.pages * greatest(0, 1 - (100 - coalesce(heap.free_percent + heap.dead_tuple_percent,
                                                           near.approx_free_percent + near.dead_tuple_percent)) / p.fillfactor)) AS free_pages,
           floor(p.toast_bytes / current_setting('block_size')::bigint * (toast.free_percent + toast.dead_tuple_percent) / 100) AS free_toast_pages,
           p.heap_bytes * coalesce(heap.tuple_len / nullif(heap.tuple_count, 0)::numeric,
                                   near.approx_tuple_len / nullif(near.approx_tuple_count, 0)::numeric, 0)
             + p.toast_bytes * coalesce(toast.tuple_len / nullif(toast.tuple_count, 0)::numeric, 0) AS row_bytes
  ) AS part
)
