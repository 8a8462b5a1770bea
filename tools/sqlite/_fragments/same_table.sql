-- Block `same` of tools that delete nothing: whether the name refers to a table with the same definition and root page.

-- same: the table is the one that was approved
SELECT count(*) = 1 AS same FROM {schema}.sqlite_schema AS o
 WHERE o.type = 'table' AND o.name = :table AND o.rootpage = :rootpage AND o.sql = :definition
