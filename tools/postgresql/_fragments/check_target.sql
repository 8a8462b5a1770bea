-- CTE `target`: the named tables that contain rows of their own.

target AS (
  SELECT DISTINCT c.oid, n.nspname, c.relname, c.reltoastrelid, c.relpages, am.amname
  FROM jsonb_to_recordset(CAST(:tables AS jsonb)) AS w("schema" text, "table" text)
  JOIN pg_namespace AS n ON n.nspname = w."schema"
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
  LEFT JOIN pg_am AS am ON am.oid = c.relam
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
)
