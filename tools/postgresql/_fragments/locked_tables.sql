-- CTE `locked`: tables that a size function would queue for.

locked AS MATERIALIZED (
  -- Tables that another session has locked against reading (themselves, an index, their TOAST): a size function would queue.
  SELECT DISTINCT coalesce(i.indrelid, c.oid, l.relation) AS oid
  FROM pg_locks AS l
  LEFT JOIN pg_index AS i ON i.indexrelid = l.relation
  LEFT JOIN pg_class AS c ON c.reltoastrelid = l.relation
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
)
