-- Blocks `same` and `hold`: the partition is dropped under a lock on its name, and only if it is the one that `find` saw.

-- same: the partition is the one that was approved
SELECT to_regclass(format('%I.%I', CAST(:partition_schema AS text), CAST(:partition AS text))) = CAST(CAST(:oid AS text) AS oid) AS same

-- hold: the lock that DROP TABLE takes anyway, so that no session can give the name to another table in between
LOCK TABLE ONLY {partition_schema}.{partition} IN ACCESS EXCLUSIVE MODE
