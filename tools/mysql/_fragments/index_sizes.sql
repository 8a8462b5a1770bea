-- CTEs `secondary` and `counted`: `rebuilt` by table, without the rows themselves; and the row counts of InnoDB's statistics.

secondary AS (
    -- The rows are in PRIMARY (or GEN_CLUST_INDEX), which is the table, not one of its indexes.
    SELECT r.name, COUNT(DISTINCT r.index_name) AS indexes,
           SUM(r.pages) * @@innodb_page_size AS bytes, SUM(r.needed) * @@innodb_page_size AS needed
      FROM rebuilt AS r
     WHERE r.index_name NOT IN ('PRIMARY', 'GEN_CLUST_INDEX')
     GROUP BY r.name
), counted AS (
    SELECT CAST(CASE WHEN LOCATE('#P#', REPLACE(n.table_name, '#p#', '#P#')) > 0
                THEN CONCAT(SUBSTRING_INDEX(REPLACE(n.table_name, '#p#', '#P#'), '#P#', 1), '#P#') ELSE n.table_name END AS BINARY(256)) AS name, SUM(n.n_rows) AS n_rows
      FROM mysql.innodb_table_stats AS n
     WHERE n.database_name = DATABASE()
     GROUP BY 1
)
