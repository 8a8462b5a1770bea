-- CTE `figure` and the SELECT that ends the statement: the figure of the one table in `result`, and the recommendation.

figure AS (
  SELECT r.*, CASE WHEN r.withheld IS NULL
           THEN round((100 * r.reclaimable_bytes / greatest(r.bytes, 1))::numeric, 1) END AS fragmentation_percent
  FROM result AS r
)
SELECT r.fragmentation_percent AS fragmentation_percent,
       r.method AS method,
       CASE WHEN r.relkind = 'p' THEN 'look at its partitions: they hold the rows'
            WHEN r.relkind NOT IN ('r', 'm') THEN 'none: it holds no rows of its own'
            WHEN r.withheld LIKE 'stale%' OR r.withheld LIKE 'never%' THEN 'update_table_statistics, then look again'
            WHEN r.withheld IS NOT NULL THEN 'none: there is no figure to act on'
            WHEN r.fragmentation_percent > 40 AND r.bytes >= 1073741824
              THEN 'rebuild_table gives the space back but locks the table; optimize_table makes it reusable without a lock'
            WHEN r.fragmentation_percent > 20 THEN 'optimize_table: makes the space reusable; the file shrinks only at its end'
            ELSE 'none: it is compact enough' END AS recommendation,
       r.reclaimable_bytes::bigint AS estimated_benefit,
       round(r.error_points::numeric, 1) AS error_points,
       r.withheld AS withheld
FROM figure AS r
