"""Plain language in, tasks and answers out.

A text is read into a request by rules, without a model: `requests` by way of `routing`, `reading` and `dates`, which
are pure.
"""
