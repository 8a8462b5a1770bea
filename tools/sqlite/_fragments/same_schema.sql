-- Block `same`: whether the schema is the one that `find` saw. SQLite gives a table no number of its own, and a table that is dropped
-- and created again can have the same root page, so any change of the schema counts as one of the table. `do` checks the same.

-- same: nothing was created, dropped or renamed in the file
SELECT v.schema_version = :made AS same FROM pragma_schema_version AS v
