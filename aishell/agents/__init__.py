"""Agents turn a task and an inventory into a plan: pure, no I/O.

An agent asks its questions as data, gets an inventory with the answers, and returns steps that name tools. What came of them
comes back to it as results, of which it makes the summary. An agent is a package; what all share stands here.
"""
