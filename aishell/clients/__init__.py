"""Client programs: found, started, bounded, ended."""
