"""The pictures of README and docs: what a person sees of real runs, as `make pictures` takes them. Nothing is written by hand.

`shop` makes a site and a worn database, `scenes` says which commands are run there and what of their screens is shown, `screen`
is the terminal, `svg` draws it.
"""
