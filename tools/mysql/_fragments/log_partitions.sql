-- CTEs up to `part`: the partitions of a table, with `stays`: why one must not be dropped as a whole, NULL if all rows that it can
-- contain are before the cut-off. Follows the CTE `file`.

dated AS (
    SELECT c.DATA_TYPE AS data_type, c.IS_NULLABLE = 'YES' AS nullable,
           CONCAT('`', REPLACE(CONVERT(:date_column USING utf8mb3), '`', '``'), '`') AS quoted
      FROM information_schema.COLUMNS AS c
     WHERE c.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND c.TABLE_NAME = CONVERT(:table USING utf8mb3)
       AND CAST(c.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(c.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
       AND c.COLUMN_NAME = CONVERT(:date_column USING utf8mb3)
), direct AS (
    -- One row per partition: subpartitions divide the rows within its bounds.
    SELECT p.PARTITION_NAME AS name, MIN(p.PARTITION_ORDINAL_POSITION) AS position, MIN(p.PARTITION_METHOD) AS method,
           MIN(p.PARTITION_EXPRESSION) AS expression, MIN(p.PARTITION_DESCRIPTION) AS bound,
           -- The engine also reports 0 for a partition that it has not read yet.
           CAST(NULLIF(SUM(p.TABLE_ROWS), 0) AS SIGNED) AS n_rows, CAST(SUM(p.DATA_LENGTH + p.INDEX_LENGTH) AS SIGNED) AS stat_bytes
      FROM information_schema.PARTITIONS AS p
     WHERE p.TABLE_SCHEMA = CONVERT(:schema USING utf8mb3) AND p.TABLE_NAME = CONVERT(:table USING utf8mb3)
       AND CAST(p.TABLE_SCHEMA AS BINARY(256)) = CAST(:schema AS BINARY(256)) AND CAST(p.TABLE_NAME AS BINARY(256)) = CAST(:table AS BINARY(256))
       AND p.PARTITION_NAME IS NOT NULL
     GROUP BY p.PARTITION_NAME
), ruled AS (
    SELECT d.*, c.nullable, COALESCE(f.bytes, d.stat_bytes) AS n_bytes, CASE WHEN f.bytes IS NULL THEN 'statistics' ELSE 'file size' END AS bytes_method,
           d.position = MAX(d.position) OVER () AS newest,
           CASE WHEN d.method NOT IN ('RANGE', 'RANGE COLUMNS') THEN 'unknown'
                WHEN LOWER(d.expression) = LOWER(c.quoted) AND c.data_type IN ('date', 'datetime') THEN 'date'
                WHEN LOWER(d.expression) = LOWER(c.quoted) AND c.data_type IN ('int', 'bigint', 'decimal') THEN 'number'
                WHEN LOWER(d.expression) = LOWER(CONCAT('to_days(', c.quoted, ')')) THEN 'days'
                WHEN LOWER(d.expression) = LOWER(CONCAT('year(', c.quoted, ')')) THEN 'years'
                WHEN LOWER(d.expression) = LOWER(CONCAT('unix_timestamp(', c.quoted, ')')) THEN 'seconds'
                ELSE 'unknown' END AS rule
      FROM direct AS d JOIN dated AS c
      LEFT JOIN (SELECT file.part, CAST(SUM(file.bytes) AS SIGNED) AS bytes FROM file GROUP BY file.part) AS f
        ON f.part = CONVERT(CAST(CONVERT(d.name USING filename) AS BINARY) USING utf8mb3)
), compared AS (
    -- VALUES LESS THAN: if the bound is not after the cut-off, every row is before it.
    SELECT r.*, CASE WHEN r.bound = 'MAXVALUE' THEN FALSE
                     WHEN r.rule = 'date' THEN CAST(TRIM(BOTH '''' FROM r.bound) AS DATETIME(6)) <= CAST(:cutoff AS DATETIME(6))
                     WHEN r.rule = 'number' THEN CAST(r.bound AS DECIMAL(40, 6)) <= CAST(:cutoff AS DECIMAL(40, 6))
                     WHEN r.rule = 'days' THEN CAST(r.bound AS SIGNED) <= TO_DAYS(:cutoff)
                     WHEN r.rule = 'years' THEN CAST(r.bound AS SIGNED) <= YEAR(:cutoff)
                     WHEN r.rule = 'seconds' THEN CAST(r.bound AS SIGNED) <= UNIX_TIMESTAMP(:cutoff)
                END AS old
      FROM ruled AS r
), part AS (
    SELECT c.*, CASE
             WHEN c.rule = 'unknown' THEN CONCAT('the table is partitioned by ', c.method, ' (', c.expression, '), which does not tell the age of its rows')
             WHEN COALESCE(c.old, FALSE) = FALSE THEN 'it can contain rows that are not before the cut-off'
             WHEN c.newest THEN 'it is the newest partition'
             -- NULL sorts before every bound: such rows are in the first partition, and must stay
             WHEN c.nullable AND c.position = 1 THEN 'it contains the rows without a date'
             ELSE (SELECT CONCAT('the trigger ', MIN(t.TRIGGER_NAME), ' would not fire for its rows')
                     FROM information_schema.TRIGGERS AS t
                    WHERE t.EVENT_OBJECT_SCHEMA = CONVERT(:schema USING utf8mb3) AND t.EVENT_OBJECT_TABLE = CONVERT(:table USING utf8mb3)
                      AND t.EVENT_MANIPULATION = 'DELETE') END AS stays
      FROM compared AS c
)
