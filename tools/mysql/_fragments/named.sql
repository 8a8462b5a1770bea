-- CTE `named`: the named tables.

named AS (
    -- A JSON_TABLE column without a character set takes the database's, and latin1 cannot represent most names.
    SELECT DISTINCT CAST(j.table_name AS BINARY(256)) AS name
      FROM JSON_TABLE(:tables, '$[*]' COLUMNS (schema_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                              table_name VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS j
     WHERE CAST(j.schema_name AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))
)
