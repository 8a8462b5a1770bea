-- CTE `named`: the named tables; `folded`: the name as SQLite compares names of tables.

named AS MATERIALIZED (
    -- CAST gives the names an affinity: without one SQLite builds no automatic index on them, and 10,000 tables take minutes.
    SELECT CAST(json_extract(value, '$.table') AS TEXT) AS name,
           CAST(lower(json_extract(value, '$.table')) AS TEXT) AS folded
      FROM json_each(:tables)
     WHERE json_extract(value, '$.schema') = 'main'
)
