"""The tool registry: files in tools/ become callable, checked operations.

A file is read (`header`), held to its way of running (`ways`), rendered into statements (`render`), and kept from writing where
it says that it reads (`wall`). How it is run is in `running`.
"""
