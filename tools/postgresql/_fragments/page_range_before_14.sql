-- The condition that a row is on the pages from `position` to `upto`: looks up every possible position (ctid) there, as many line
-- pointers as a page can have (bufpage.h, MaxHeapTuplesPerPage). Before version 14 a range would be a full scan.

ctid = ANY (ARRAY(
    SELECT CAST('(' || page || ',' || line || ')' AS tid)
    FROM generate_series(CAST(:position AS bigint), CAST(:upto AS bigint) - 1) AS page,
         generate_series(1, (current_setting('block_size')::int - 24) / 28) AS line
))
