-- The columns of a CTE `figure` over TABLES (t) where InnoDB's statistics cannot be read: free extents only.

    SELECT t.*,
           CASE WHEN t.ENGINE IS NULL THEN CONCAT('the server cannot open the table: ', t.TABLE_COMMENT)
            WHEN t.ENGINE = 'Aria' AND t.ROW_FORMAT = 'Page' THEN 'Aria does not report how full its pages are (DATA_FREE is always 0)'
            WHEN t.ENGINE NOT IN ('InnoDB', 'MyISAM', 'Aria') THEN CONCAT('nothing is known about free space in ', t.ENGINE)
            WHEN t.ENGINE <> 'InnoDB' THEN NULL
            WHEN NOT @@innodb_file_per_table THEN 'tables share one tablespace: DATA_FREE belongs to all of them'
            WHEN CAST(t.DATA_FREE AS SIGNED) - 8388608 < CAST(COALESCE(t.DATA_LENGTH + t.INDEX_LENGTH + CASE WHEN t.ENGINE = 'InnoDB' THEN t.DATA_FREE ELSE 0 END, 0) AS SIGNED) / 10
            THEN 'only whole free extents can be seen, and they are few: grant SELECT on mysql.innodb_index_stats for a figure' END AS withheld,
           CAST(COALESCE(t.DATA_LENGTH + t.INDEX_LENGTH + CASE WHEN t.ENGINE = 'InnoDB' THEN t.DATA_FREE ELSE 0 END, 0) AS SIGNED) AS total,
           CASE WHEN t.ENGINE <> 'InnoDB' THEN t.DATA_FREE
                ELSE GREATEST(0, CAST(t.DATA_FREE AS SIGNED) - 8388608) END AS reclaimable,
           CASE WHEN t.ENGINE = 'InnoDB' THEN 'at least: free extents beyond 8 MB (DATA_FREE)'
                ELSE 'DATA_FREE: holes in the data file, exact; the index file is not counted' END AS method
