-- Block `same` of what deletes nothing: whether the name stands for a table of the same definition in the same place.

-- same: the table is the one that was approved
SELECT count(*) = 1 AS same FROM {schema}.sqlite_schema AS o
 WHERE o.type = 'table' AND o.name = :table AND o.rootpage = :rootpage AND o.sql = :definition
