-- CTEs `gone`: the old rows of a range of the key, and all rows deleted or changed with them; and `kept`: one line for each. The
-- condition for old rows is that of the fragment old_rows.

gone (part, {slots}) AS (
    SELECT 0, {own} FROM {schema}.{table}
     WHERE {after} AND {until} AND
           {date_column} < :cutoff AND +{date_column} >= CASE typeof(:cutoff) WHEN 'text' THEN '' ELSE -9e999 END{filters}
     UNION
    {edges}
),
kept AS (
    SELECT g.part AS part, CASE g.part {rows} END AS line FROM gone AS g
)
