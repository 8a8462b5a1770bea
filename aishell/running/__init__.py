"""Run a tool, with one class for each way: a query, object by object, in batches, Python, client programs.

The input is a tool, its values and a context with sessions. Statements are sent one at a time, each announced before it is
sent, and the outcome of each object or batch is returned. Tools themselves are defined in `registry`.
"""
