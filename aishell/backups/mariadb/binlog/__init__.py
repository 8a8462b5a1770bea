"""MariaDB's binary log: fetched, read, and brought back to a moment."""
