"""PostgreSQL: dumps, physical backups, what comes back of them."""
