"""Agents turn a task and an inventory into a plan: pure, no I/O.

An agent asks its questions as data, gets an inventory with the answers, and returns steps that name tools. It
summarises their results. An agent is a package; what all agents share is here.
"""
