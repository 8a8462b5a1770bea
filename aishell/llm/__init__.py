"""Language models: one protocol, a client per provider, and wrappers around it. Independent of plans, agents and tools."""
