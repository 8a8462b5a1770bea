-- The columns with the result of `figure` (f) for one table, and the recommendation.

SELECT CASE WHEN f.withheld IS NULL THEN COALESCE(ROUND(100e0 * f.reclaimable / NULLIF(f.total, 0), 1), 0) END AS fragmentation_percent,
       CASE WHEN f.withheld IS NULL THEN f.method END AS method,
       CASE WHEN f.withheld IS NULL THEN CAST(f.reclaimable AS SIGNED) END AS estimated_benefit,
       f.withheld AS withheld,
       CASE WHEN f.withheld IS NOT NULL THEN CONCAT('no figure: ', f.withheld)
            WHEN f.total > 0 AND 100 * f.reclaimable / f.total > 20 AND f.reclaimable >= 8388608
            THEN CASE WHEN f.ENGINE = 'InnoDB' THEN 'optimize_table returns the space; reads and writes continue'
                      ELSE 'optimize_offline_table returns the space; reads and writes wait meanwhile' END
            WHEN f.total > 0 AND 100 * f.reclaimable / f.total > 20 THEN 'not worth a rewrite: the table is small'
            ELSE 'nothing to do' END AS recommendation,
       f.ENGINE AS storage,
       CAST(f.TABLE_ROWS AS SIGNED) AS `rows`,
       CAST(f.DATA_LENGTH AS SIGNED) AS data_bytes,
       CAST(f.INDEX_LENGTH AS SIGNED) AS index_bytes,
       CAST(f.DATA_FREE AS SIGNED) AS free_extent_bytes,
       f.ROW_FORMAT AS row_format,
       f.CREATE_OPTIONS AS options,
       DATE_FORMAT(CONVERT_TZ(f.CREATE_TIME, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%sZ') AS created,
