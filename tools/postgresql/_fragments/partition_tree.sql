-- CTE `tree` over `target` (oid, relkind), recursive: each target and, below partitioned ones, their partitions.

tree AS (
  -- A partitioned table is replaced by its leaf partitions. Read from pg_inherits: pg_partition_tree() would lock them.
  SELECT t.oid AS root, t.oid, t.relkind FROM target AS t
  UNION ALL
  SELECT p.root, k.oid, k.relkind FROM tree AS p
  JOIN pg_inherits AS h ON h.inhparent = p.oid
  JOIN pg_class AS k ON k.oid = h.inhrelid AND k.relispartition
  WHERE p.relkind = 'p'
)
