-- Column `obstacle` of a deletion's `find`: a foreign key that acts on a delete was created or dropped since the rows were archived.

CASE WHEN (SELECT COUNT(*)
             FROM information_schema.REFERENTIAL_CONSTRAINTS AS f
             JOIN JSON_TABLE(:watched, '$[*]' COLUMNS (s VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.schema',
                                                       t VARCHAR(256) CHARACTER SET utf8mb4 PATH '$.table')) AS w
               ON CAST(f.UNIQUE_CONSTRAINT_SCHEMA AS BINARY(256)) = CAST(w.s AS BINARY(256))
              AND CAST(f.REFERENCED_TABLE_NAME AS BINARY(256)) = CAST(w.t AS BINARY(256))
            WHERE f.DELETE_RULE IN ('CASCADE', 'SET NULL')) <> :acting
     THEN 'is referenced by other foreign keys than when this was planned' END AS obstacle
