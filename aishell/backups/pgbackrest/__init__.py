"""PostgreSQL where the site runs pgbackrest."""
