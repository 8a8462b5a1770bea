"""PostgreSQL: dumps, physical backups and their restore."""
