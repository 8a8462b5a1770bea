"""Language models: one protocol, a client per provider, and wrappers around it. Knows nothing of plans, agents and tools."""
