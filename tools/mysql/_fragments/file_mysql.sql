-- CTE `file`: the sizes of the files of {schema}.{table} on MySQL (needs PROCESS), one per partition or subpartition;
-- `part`: the partition's name as in the name of the file (`P@0020O`). No row if the table has no file of its own, or is not InnoDB.

file AS (
    SELECT s.FILE_SIZE AS bytes, SUBSTRING_INDEX(SUBSTRING(s.NAME, CHAR_LENGTH(b.name) + 4), '#', 1) AS part
      FROM (SELECT CONVERT(CONCAT(CAST(CONVERT(:schema USING filename) AS BINARY), '/', CAST(CONVERT(:table USING filename) AS BINARY)) USING utf8mb3) AS name) AS b
      JOIN information_schema.INNODB_TABLESPACES AS s ON CAST(SUBSTRING_INDEX(s.NAME, '#', 1) AS BINARY) = CAST(b.name AS BINARY)
)
