"""Access to the databases: connections, sessions, quoting, driver errors."""
