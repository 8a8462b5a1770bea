"""Client programs: found, started, bounded, ended.

A tool's file names a program and its arguments as a list; here it is looked for, given what it needs of the environment, held
to its time, and ended with all that it started.
"""
