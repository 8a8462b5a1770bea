-- A SELECT of every place (ctid) that a row can have on the pages from `position` to `upto`: as many line pointers as a page can
-- hold (bufpage.h, MaxHeapTuplesPerPage).

SELECT CAST('(' || page || ',' || line || ')' AS tid)
FROM generate_series(CAST(:position AS bigint), CAST(:upto AS bigint) - 1) AS page,
     generate_series(1, (current_setting('block_size')::int - 24) / 28) AS line
