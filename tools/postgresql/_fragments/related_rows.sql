-- CTEs `gone`: the old rows of a range of pages, and the places of all rows that go or change with them; and `kept`: a line for
-- each.

gone (part, relation, place) AS (
    SELECT 0, tableoid, ctid FROM {schema}.{table}
     WHERE ctid >= CAST('(' || CAST(:position AS bigint) || ',0)' AS tid) AND ctid < CAST('(' || CAST(:upto AS bigint) || ',0)' AS tid)
       AND (age(xmin) > age(CAST(CAST(:horizon AS text) AS xid)) OR age(xmin) < 0)
       AND {date_column} < :cutoff{filters}
     UNION
    SELECT e.part, e.relation, e.place FROM gone AS g CROSS JOIN LATERAL ({edges}) AS e
),
kept AS (
    SELECT g.part AS part, CASE g.part {rows} END AS line FROM gone AS g
)
