-- CTE `segment`: the pages of each index and partition of the database, from InnoDB's persistent statistics.

segment AS (
    -- One row per index and partition: the pages that InnoDB has reserved for it, and how many of them are leaf pages in use.
    -- MariaDB writes 1 for an index it has scanned completely (up to sample pages x columns): the maximum is assumed.
    SELECT c.table_name, c.index_name, c.pages, c.extent,
           CASE WHEN c.leaves <= 1 THEN LEAST(c.pages, 4 * @@innodb_stats_persistent_sample_pages) ELSE c.leaves END AS leaves
      FROM (SELECT i.table_name, i.index_name,
                   MAX(CASE WHEN i.stat_name = 'size' THEN i.stat_value END) AS pages,
                   MAX(CASE WHEN i.stat_name = 'n_leaf_pages' THEN i.stat_value END) AS leaves,
                   GREATEST(64, 1048576 DIV @@innodb_page_size) AS extent
              FROM mysql.innodb_index_stats AS i
             WHERE i.database_name = DATABASE() AND i.stat_name IN ('size', 'n_leaf_pages')
             GROUP BY i.table_name, i.index_name) AS c
)
