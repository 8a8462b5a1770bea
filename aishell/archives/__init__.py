"""Archives: rows that left a table, kept in files that were checked against the database."""
