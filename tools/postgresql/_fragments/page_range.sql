-- The condition that a row is on the pages from `position` to `upto`: a TID range scan, which version 14 and later have.

ctid >= CAST('(' || CAST(:position AS bigint) || ',0)' AS tid)
AND ctid < CAST('(' || CAST(:upto AS bigint) || ',0)' AS tid)
