"""The gates every step passes: constraints, policy, approval. Pure: nothing here asks or connects."""
