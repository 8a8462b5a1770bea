-- CTEs `gone`: the old rows of a range of pages, and the places of all rows that go or change with them; and `kept`: a line for
-- each. As in related_rows, but for how the range is found (see places_of_pages).

gone (part, relation, place) AS (
    SELECT 0, tableoid, ctid FROM {schema}.{table}
     WHERE ctid = ANY (ARRAY(
SELECT CAST('(' || page || ',' || line || ')' AS tid)
FROM generate_series(CAST(:position AS bigint), CAST(:upto AS bigint) - 1) AS page,
     generate_series(1, (current_setting('block_size')::int - 24) / 28) AS line
     ))
       AND (age(xmin) > age(CAST(CAST(:horizon AS text) AS xid)) OR age(xmin) < 0)
       AND {date_column} < :cutoff{filters}
     UNION
    SELECT e.part, e.relation, e.place FROM gone AS g CROSS JOIN LATERAL ({edges}) AS e
),
kept AS (
    SELECT g.part AS part, CASE g.part {rows} END AS line FROM gone AS g
)
