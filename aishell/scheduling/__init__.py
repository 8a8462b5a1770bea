"""When something is to run, and what becomes of times that were missed: values and decisions, without a clock or a store."""
