"""Plans as data: references, conditions, order, static checks."""
