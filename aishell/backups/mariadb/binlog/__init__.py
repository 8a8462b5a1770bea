"""MariaDB's binary log: fetched, read and replayed."""
