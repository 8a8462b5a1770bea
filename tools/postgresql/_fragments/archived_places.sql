-- The positions of the archived rows in a range of pages: old rows in their archived version, and rows that this deletion has changed
-- since, which are at another position now.

SELECT tableoid AS relation, ctid AS place FROM ONLY {schema}.{table}
WHERE ctid >= CAST('(' || CAST(:position AS bigint) || ',0)' AS tid) AND ctid < CAST('(' || CAST(:upto AS bigint) || ',0)' AS tid)
  AND pg_relation_filenode(CAST(CAST(:oid AS text) AS oid)) = CAST(CAST(:filenode AS text) AS oid)
  AND (age(xmin) > age(CAST(CAST(:horizon AS text) AS xid)) OR age(xmin) < 0)
  AND {date_column} < :cutoff{filters}
{moved}
