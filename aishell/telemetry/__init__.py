"""What a process reports besides its results: log lines, spans, tracebacks."""
