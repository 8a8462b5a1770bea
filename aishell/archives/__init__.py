"""Archives: rows removed from a table, kept in files that were checked against the database.

A clean-up writes chunks of rows, and a manifest with counts and checksums. The deletion follows the manifest; a load reads it.
"""
