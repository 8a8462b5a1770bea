-- The columns of a CTE `figure` over TABLES (t), `sizes` (z) and `counted` (c): what a rewrite would free, from
-- InnoDB's statistics.

    SELECT t.*, CAST(CASE WHEN t.CREATE_OPTIONS LIKE '%partitioned%' THEN CONCAT(t.TABLE_NAME, '#P#') ELSE t.TABLE_NAME END AS BINARY(256)) AS name, c.n_rows, c.last_update,
           CASE WHEN t.ENGINE IS NULL THEN CONCAT('the server cannot open the table: ', t.TABLE_COMMENT)
            WHEN t.ENGINE = 'Aria' AND t.ROW_FORMAT = 'Page' THEN 'Aria does not report how full its pages are (DATA_FREE is always 0)'
            WHEN t.ENGINE NOT IN ('InnoDB', 'MyISAM', 'Aria') THEN CONCAT('nothing is known about free space in ', t.ENGINE)
            WHEN t.ENGINE <> 'InnoDB' THEN NULL
            WHEN t.ROW_FORMAT = 'Compressed' THEN 'row format COMPRESSED: the statistics count pages of unknown size'
            WHEN z.name IS NULL THEN 'no persistent statistics (STATS_PERSISTENT=0, or never analysed): run ANALYZE TABLE'
            WHEN ABS(CAST(t.TABLE_ROWS AS SIGNED) - CAST(c.n_rows AS SIGNED)) > 1000 + c.n_rows / 5
            THEN 'the statistics are stale: run ANALYZE TABLE and look again' END AS withheld,
           CASE WHEN t.ENGINE = 'InnoDB' THEN z.bytes + CASE WHEN @@innodb_file_per_table THEN t.DATA_FREE ELSE 0 END
                ELSE t.DATA_LENGTH + t.INDEX_LENGTH END AS total,
           CASE WHEN t.ENGINE <> 'InnoDB' THEN t.DATA_FREE
                ELSE GREATEST(0, z.bytes - z.needed
                                 + CASE WHEN @@innodb_file_per_table THEN GREATEST(0, CAST(t.DATA_FREE AS SIGNED) - 4194304 * z.spaces)
                                        ELSE 0 END) END AS reclaimable,
           CASE WHEN t.ENGINE = 'InnoDB' THEN 'at least: reserved pages against leaf pages in use (innodb_index_stats), free extents beyond 4 MB'
                ELSE 'DATA_FREE: holes in the data file, exact; the index file is not counted' END AS method
