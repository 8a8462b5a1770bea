"""Archives: rows that left a table, kept in files that were checked against the database.

A clean-up writes chunks of rows and a manifest with counts and sums; the deletion goes by the manifest; a load reads it back.
"""
