-- The SELECT of a CTE `tree`, up to its WHERE and GROUP BY name: dbstat's figures for each b-tree.

    -- One row per b-tree, that is, per table and per index. A table's rows are on its leaf pages; an index (and a table
    -- WITHOUT ROWID) has entries on its inner pages too.
    SELECT name, count(*) AS pages, sum(pgsize) AS bytes, sum(unused) AS unused, max(pgsize) AS page_size,
           sum(pagetype = 'overflow') AS overflow, max(mx_payload) AS largest,
           max(pagetype = 'internal' AND payload > 0) AS keyed,
           sum(payload) FILTER (WHERE pagetype <> 'overflow') AS payload,
           sum(ncell) FILTER (WHERE pagetype = 'leaf' OR payload > 0) AS cells,
           total(pgsize - 8 - unused)
               FILTER (WHERE pagetype = 'leaf' OR pagetype = 'internal' AND payload > 0) AS cell_bytes
      FROM dbstat('main')
