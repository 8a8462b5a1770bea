-- CTEs `gone`: the positions of the rows in the CTE `own`, and of all rows deleted or changed with them; and `kept`: one line for
-- each.

gone (part, relation, place) AS (
    SELECT 0, own.relation, own.place FROM own
     UNION
    SELECT e.part, e.relation, e.place FROM gone AS g CROSS JOIN LATERAL ({edges}) AS e
),
kept AS (
    SELECT g.part AS part, CASE g.part {rows} END AS line FROM gone AS g
)
