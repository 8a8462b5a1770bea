"""SQLite: copies and changed pages."""
