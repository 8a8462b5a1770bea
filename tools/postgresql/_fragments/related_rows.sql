-- CTEs `gone`: the rows that the CTE `own` has the places of, and the places of all rows that go or change with them; and `kept`:
-- a line for each.

gone (part, relation, place) AS (
    SELECT 0, own.relation, own.place FROM own
     UNION
    SELECT e.part, e.relation, e.place FROM gone AS g CROSS JOIN LATERAL ({edges}) AS e
),
kept AS (
    SELECT g.part AS part, CASE g.part {rows} END AS line FROM gone AS g
)
