-- CTEs `sizes` and `counted`: `rebuilt` by table, and the row counts of InnoDB's statistics.

sizes AS (
    SELECT r.name, COUNT(DISTINCT r.table_name) AS spaces,
           SUM(r.pages) * @@innodb_page_size AS bytes, SUM(r.needed) * @@innodb_page_size AS needed
      FROM rebuilt AS r
     GROUP BY r.name
), counted AS (
    SELECT CAST(CASE WHEN LOCATE('#P#', REPLACE(n.table_name, '#p#', '#P#')) > 0
                THEN CONCAT(SUBSTRING_INDEX(REPLACE(n.table_name, '#p#', '#P#'), '#P#', 1), '#P#') ELSE n.table_name END AS BINARY(256)) AS name,
           SUM(n.n_rows) AS n_rows, MIN(n.last_update) AS last_update
      FROM mysql.innodb_table_stats AS n
     WHERE n.database_name = DATABASE()
     GROUP BY 1
)
