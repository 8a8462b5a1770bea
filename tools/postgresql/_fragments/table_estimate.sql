-- CTE `estimate`: the unused space of each table in `target`, estimated from statistics.

estimate AS (
  SELECT t.*,
         CASE WHEN NOT t.stored THEN 'it holds no rows of its own'
              WHEN t.held THEN 'locked by another session'
              WHEN t.amname <> 'heap' THEN 'not stored as a heap'
              WHEN t.reltuples < 0 OR t.analyzed IS NULL THEN 'never analyzed since the server''s counters began'
              WHEN t.modified > 50 + 0.1 * t.reltuples
                THEN 'stale statistics: ' || t.modified || ' rows changed since the last ANALYZE'
              WHEN t.reltuples > 0 AND NOT has_table_privilege(t.oid, 'SELECT')
                THEN 'no SELECT privilege: the server hides the statistics'
              WHEN t.reltuples > 0 AND row_security_active(t.oid) THEN 'row-level security hides the statistics'
              WHEN t.reltuples > 0 AND w.unknown > 0 THEN w.unknown || ' of ' || w.columns || ' columns have no statistics'
         END AS withheld,
         CASE WHEN t.pages = 0 THEN 0 WHEN t.reltuples = 0 THEN 100
              ELSE greatest(0, 100 * (1 - ceil(t.reltuples / full_page.rows) / t.pages)) END AS percent
  FROM target AS t
  CROSS JOIN LATERAL (
    -- Width of a row: 23 bytes of header (and a bitmap when there are NULLs) rounded up to 8, columns, a line pointer of 4.
    SELECT sum(g.columns) AS columns, sum(g.unknown) AS unknown, bool_and(g.fixed) AS fixed,
           ceil((23 + CASE WHEN bool_or(g.nulls) THEN ceil(sum(g.columns) / 8.0) ELSE 0 END) / 8) * 8 + sum(g.width) + 4 AS width
    FROM (
      -- PostgreSQL pads up to every 8-byte aligned column: columns are grouped into runs that begin with one.
      SELECT count(*) AS columns, count(*) FILTER (WHERE c.unknown) AS unknown, bool_and(c.fixed) AS fixed,
             bool_or(c.null_frac > 0) AS nulls,
             CASE WHEN bool_and(c.fixed) THEN ceil(sum(c.width) / 8) * 8 ELSE sum(c.width) + 3.5 END AS width
      FROM (
        -- Average stored width of each column, from ANALYZE.
        SELECT s.attname IS NULL AS unknown, a.attlen > 0 AND s.null_frac = 0 AS fixed, s.null_frac,
               (1 - s.null_frac) * s.avg_width AS width,
               count(*) FILTER (WHERE a.attalign = 'd' AND a.attlen > 0) OVER (ORDER BY a.attnum) AS stretch
        FROM pg_attribute AS a
        LEFT JOIN LATERAL (
          SELECT v.attname, v.null_frac, v.avg_width FROM pg_stats AS v
          WHERE v.schemaname = t.schema_name AND v.tablename = t.relname AND v.attname = a.attname AND NOT v.inherited
          OFFSET 0  -- forces index look-ups: otherwise the planner reads all of pg_stats for each table
        ) AS s ON true
        WHERE a.attrelid = t.oid AND t.stored AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'
      ) AS c GROUP BY c.stretch
    ) AS g
  ) AS w
  -- Rows a full page holds: 24 bytes of page header; rows of different width leave half a row unused on average.
  CROSS JOIN LATERAL (SELECT (current_setting('block_size')::int - 24) * t.fillfactor / 100.0 AS bytes) AS room
  CROSS JOIN LATERAL (SELECT greatest(1,
    CASE WHEN w.fixed THEN floor(room.bytes / w.width) ELSE room.bytes / w.width - 0.5 END) AS rows) AS full_page
)
