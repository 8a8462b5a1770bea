"""What a process tells beside its results: log lines, spans, tracebacks."""
