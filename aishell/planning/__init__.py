"""Plans as data: references, conditions, order, privileges, estimates, static checks.

What an agent drafted is checked here before anything is sent, and completed by what is known of earlier runs. Pure.
"""
