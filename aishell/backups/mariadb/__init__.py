"""MariaDB and MySQL: dumps, binary logs, mariadb-backup."""
