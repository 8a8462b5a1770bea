"""PostgreSQL by pgbackrest."""
