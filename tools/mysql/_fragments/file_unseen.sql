-- CTE `file` if the role lacks PROCESS, which InnoDB's list of files needs: no row, so sizes come from the statistics.

file AS (
    SELECT CAST(NULL AS SIGNED) AS bytes, CAST(NULL AS CHAR(64)) AS part FROM (SELECT 1 AS one) AS none WHERE none.one = 0
)
