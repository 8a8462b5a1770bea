"""Client programs of the engines: found, run with their secrets out of sight, watched and stopped.

A tool's file names a program and its arguments as a list. The program is stopped together with all the processes it started.
"""
