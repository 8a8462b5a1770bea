-- The condition that a row stands on the pages from `position` to `upto`: read as a range of places, which version 14 and later can.

ctid >= CAST('(' || CAST(:position AS bigint) || ',0)' AS tid)
AND ctid < CAST('(' || CAST(:upto AS bigint) || ',0)' AS tid)
