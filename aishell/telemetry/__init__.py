"""What a process reports beside its results: log lines, spans, tracebacks."""
