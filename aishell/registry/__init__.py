"""The tool registry: files in tools/ become callable, checked operations.

A file is read (`header`), checked against its way of running (`ways`), rendered into statements (`render`), and kept from writing
if it claims only to read (`wall`). It is run by `running`.
"""
