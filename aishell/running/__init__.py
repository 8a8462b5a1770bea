"""The ways a tool runs, a class each: a query, object by object, in batches, Python, client programs.

A tool, its values and a context with sessions come in; statements go out one at a time, each told of before it is sent; what
each object or batch came to goes back. What a tool is stands in `registry`.
"""
