-- The condition that a row stands on the pages from `position` to `upto`: every place (ctid) that a row can have there, as many line
-- pointers as a page can hold (bufpage.h, MaxHeapTuplesPerPage), is looked up. Before version 14 a range would be a full read.

ctid = ANY (ARRAY(
    SELECT CAST('(' || page || ',' || line || ')' AS tid)
    FROM generate_series(CAST(:position AS bigint), CAST(:upto AS bigint) - 1) AS page,
         generate_series(1, (current_setting('block_size')::int - 24) / 28) AS line
))
