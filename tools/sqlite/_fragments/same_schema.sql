-- Block `same`: whether the schema is the one that `find` saw. SQLite gives a table no number of its own: one that is dropped and
-- made anew can have its root page, so any change of the schema is taken for one of the table. `do` asks for the same.

-- same: nothing was made, dropped or renamed in the file
SELECT v.schema_version = :made AS same FROM pragma_schema_version AS v
