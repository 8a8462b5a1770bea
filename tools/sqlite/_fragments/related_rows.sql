-- CTEs `gone`: the old rows of a range of the key, and all rows that go or change with them; and `kept`: a line for each. Which of
-- them are old, the fragment old_rows says as well.

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
