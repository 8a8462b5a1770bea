-- CTE `result`: the unused space of each btree index in `target` of at least min_index_size, measured from its pages.

result AS (
  -- pgstatindex is strict: given NULL it does not run. Pages without entries (deleted, empty) count as free, like the free part
  -- of the others.
  SELECT t.*, t.pages * current_setting('block_size')::bigint AS bytes, no.reason AS withheld,
         CASE WHEN no.reason IS NULL THEN coalesce(used.percent, 0) END AS percent,
         CASE WHEN no.reason IS NULL THEN 'pgstatindex' END AS method,
         CASE WHEN no.reason IS NULL THEN coalesce(used.pages * current_setting('block_size')::bigint * used.percent / 100,
           0) END AS reclaimable_bytes
  FROM target AS t
  CROSS JOIN LATERAL (SELECT CASE WHEN NOT t.btree THEN 'no way to measure a ' || t.amname || ' index'
                                  WHEN t.held THEN 'locked by another session'
                                  WHEN NOT t.valid THEN 'the index is invalid' END AS reason) AS no
  CROSS JOIN LATERAL pgstatindex(CAST(CASE WHEN no.reason IS NULL
    AND t.pages * current_setting('block_size')::bigint >= CAST(:min_index_size AS bigint) THEN t.oid END AS regclass)) AS s
  CROSS JOIN LATERAL (SELECT s.leaf_pages + s.empty_pages + s.deleted_pages AS pages) AS level
  CROSS JOIN LATERAL (
    SELECT level.pages, greatest(0, 100 * (1 - s.leaf_pages * coalesce(nullif(s.avg_leaf_density, 'NaN'), 0) / t.fillfactor
                                               / nullif(level.pages, 0))) AS percent
  ) AS used
)
