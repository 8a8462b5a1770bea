"""The log clean-up agents: find log tables and their old rows, archive and delete them, and load archives."""
