"""`python -m aishell`."""

from aishell.cli.main import main

main()
