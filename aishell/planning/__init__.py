"""Plans as data: references, conditions, order, privileges, estimates, static checks.

An agent's draft is checked here before anything is sent, and completed from what is known of earlier runs. Pure.
"""
