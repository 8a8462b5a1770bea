"""Plain language in, tasks and answers out.

Rules read a text into a request: `understanding`, by way of `routing`, `reading` and `dates`, which are pure. Where the
rules are not sure and a language model is configured, the model reads it too: `model_reading`.
"""
