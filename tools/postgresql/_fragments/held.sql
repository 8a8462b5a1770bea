-- CTE `held`: relations that a size function would queue for.

held AS MATERIALIZED (
  -- Relations that another session has locked against reading, or is about to: a size function would queue there.
  SELECT DISTINCT l.relation FROM pg_locks AS l
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
)
