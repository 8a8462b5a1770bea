-- The positions of the archived rows in a range of pages (see page_range_before_14): old rows in their archived version, and rows that
-- this deletion has changed since, which are at another position now.

SELECT tableoid AS relation, ctid AS place FROM ONLY {schema}.{table}
WHERE ctid = ANY (ARRAY(
SELECT CAST('(' || page || ',' || line || ')' AS tid)
FROM generate_series(CAST(:position AS bigint), CAST(:upto AS bigint) - 1) AS page,
     generate_series(1, (current_setting('block_size')::int - 24) / 28) AS line
  ))
  AND pg_relation_filenode(CAST(CAST(:oid AS text) AS oid)) = CAST(CAST(:filenode AS text) AS oid)
  AND (age(xmin) > age(CAST(CAST(:horizon AS text) AS xid)) OR age(xmin) < 0)
  AND {date_column} < :cutoff{filters}
{moved}
