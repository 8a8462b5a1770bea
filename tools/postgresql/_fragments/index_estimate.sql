-- CTEs `sharing`, `estimate` and `result`: the unused space of each btree index in `target`, estimated from statistics.

sharing AS MATERIALIZED (
  -- From version 13 on equal keys share one entry, if the operator class says that equal means identical (support function 4).
  SELECT array_agg(o.oid) AS classes FROM pg_opclass AS o
  JOIN pg_amproc AS p ON p.amprocfamily = o.opcfamily AND p.amproclefttype = o.opcintype AND p.amprocrighttype = o.opcintype
    AND p.amprocnum = 4
  WHERE current_setting('server_version_num')::int >= 130000
), estimate AS (
  SELECT t.*,
         CASE WHEN NOT t.btree THEN 'no way to measure a ' || t.amname || ' index'
              WHEN t.held THEN 'locked by another session'
              WHEN NOT t.valid THEN 'the index is invalid'
              WHEN t.analyzed IS NULL THEN 'the table was never analyzed since the server''s counters began'
              WHEN t.modified > 50 + 0.1 * greatest(t.table_rows, 0)
                THEN 'stale statistics: ' || t.modified || ' rows changed since the last ANALYZE'
              WHEN NOT has_table_privilege(t.indrelid, 'SELECT') THEN 'no SELECT privilege: the server hides the statistics'
              WHEN row_security_active(t.indrelid) THEN 'row-level security hides the statistics'
              WHEN t.reltuples > 0 AND e.unknown > 0 THEN e.unknown || ' of ' || e.columns || ' columns have no statistics'
              WHEN t.reltuples > 0 AND (same.rows IS NULL OR same.rows > 1.05 AND same.rows < 50)
                THEN 'equal keys share entries (deduplication): no trustworthy estimate'
         END AS withheld,
         CASE WHEN t.pages <= 2 THEN 0 WHEN t.reltuples = 0 THEN 100 * (t.pages - 1) / t.pages::numeric
              ELSE greatest(0, 100 * (1 - (1 + need.leaves + need.inner_pages) / t.pages)) END AS percent
  FROM target AS t
  CROSS JOIN LATERAL (
    -- An entry: 8 bytes of header (16 with NULLs), the columns rounded up to 8, a line pointer of 4.
    SELECT count(*) FILTER (WHERE c.unknown) AS unknown, count(*) AS columns, count(*) FILTER (WHERE c.is_key) AS keys,
           bool_and(c.shares AND c.is_key) AS shares, min(c.n_distinct) FILTER (WHERE c.is_key) AS n_distinct,
           4 + CASE WHEN bool_or(c.null_frac > 0) THEN 16 ELSE 8 END
             + CASE WHEN bool_and(c.fixed AND c.null_frac = 0) THEN ceil(sum(c.width) / 8) * 8
               ELSE sum(c.width) + 3.5 END AS width
    FROM (
      -- The columns of the index. Statistics of an expression are stored under the index's own name.
      SELECT k.position <= t.indnkeyatts AS is_key, b.attlen > 0 AS fixed, s.attname IS NULL AS unknown, s.null_frac,
             s.n_distinct,
             (1 - s.null_frac) * s.avg_width AS width, coalesce(t.indclass[k.position - 1] = ANY (h.classes), false) AS shares
      FROM sharing AS h
      CROSS JOIN LATERAL unnest(t.indkey) WITH ORDINALITY AS k(attnum, position)
      JOIN pg_attribute AS b ON b.attrelid = t.oid AND b.attnum = k.position
      LEFT JOIN pg_attribute AS a ON a.attrelid = t.indrelid AND a.attnum = k.attnum AND k.attnum > 0
      LEFT JOIN LATERAL (
        SELECT v.attname, v.null_frac, v.avg_width, v.n_distinct FROM pg_stats AS v
        WHERE v.schemaname = t.schema_name AND NOT v.inherited
          AND v.tablename = CASE WHEN k.attnum > 0 THEN t.table_name ELSE t.index_name END
          AND v.attname = CASE WHEN k.attnum > 0 THEN a.attname ELSE b.attname END
        OFFSET 0  -- forces index look-ups: otherwise the planner reads all of pg_stats for each
      ) AS s ON true
      WHERE t.btree
    ) AS c
  ) AS e
  -- Rows per key where that matters: 1 if keys cannot repeat or do not share an entry, NULL if it is not known.
  CROSS JOIN LATERAL (
    SELECT CASE WHEN t.indisunique OR NOT e.shares OR t.deduplicate IN ('off', 'false', 'no', '0') THEN 1
                -- n_distinct below 0 is a fraction of the rows; one column that hardly repeats is enough for a key that hardly
                -- repeats
                WHEN e.n_distinct <= -0.95 THEN 1
                WHEN e.keys > 1 OR t.partial THEN NULL
                ELSE greatest(1, t.reltuples / greatest(CASE WHEN e.n_distinct > 0 THEN e.n_distinct
                  ELSE -e.n_distinct * t.reltuples END, 1)) END AS rows
  ) AS same
  -- A shared entry takes 6 bytes for each further row, and is split at about 1,300 bytes.
  CROSS JOIN LATERAL (
    SELECT t.reltuples / same.rows * e.width * ceil(greatest(same.rows * 6 / 1300.0, 1))
             + CASE WHEN same.rows > 1 THEN t.reltuples * (1 - 1 / same.rows) * 6 ELSE 0 END AS bytes
  ) AS entries
  -- Leaf pages filled to fillfactor (40 bytes of page header and special space, one entry as high key), inner pages to 70 %, one
  -- meta page.
  CROSS JOIN LATERAL (
    SELECT ceil(entries.bytes / (current_setting('block_size')::int * t.fillfactor / 100.0 - 40 - e.width)) AS leaves
  ) AS leaf
  CROSS JOIN LATERAL (
    SELECT leaf.leaves, ceil(leaf.leaves * e.width / (0.7 * current_setting('block_size')::int)) AS inner_pages
  ) AS need
), result AS (
  SELECT e.oid, e.indrelid, e.schema_name, e.table_name, e.index_name, e.relkind, e.btree, e.valid, e.held, e.indisexclusion,
         e.analyzed, e.pages,
         e.pages * current_setting('block_size')::bigint AS bytes, e.withheld,
         CASE WHEN e.withheld IS NULL THEN e.percent END AS percent,
         CASE WHEN e.withheld IS NULL THEN 'estimate from statistics' END AS method,
         CASE WHEN e.withheld IS NULL THEN e.pages * current_setting('block_size')::bigint * e.percent / 100 END AS reclaimable_bytes
  FROM estimate AS e
)
