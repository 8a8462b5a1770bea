"""Where backups are kept, what is known of them, and what is removed."""
