-- The places of the rows of a range of pages that an archive has: old rows in the version they had when it was made (see page_range_before_14); and of
-- those that this deletion has changed since, which are somewhere else now.

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
