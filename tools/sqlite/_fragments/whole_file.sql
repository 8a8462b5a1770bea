-- CTE `whole`: the pages of the file, and how many it would need after VACUUM.

whole AS MATERIALIZED (
    -- The file after VACUUM: all b-trees packed, no free pages, and with auto_vacuum one pointer-map page per page_size/5.
    SELECT c.page_count AS pages, s.page_size, f.freelist_count AS free,
           min(c.page_count - f.freelist_count,
               t.needed + CASE WHEN v.auto_vacuum THEN t.needed * 5 / s.page_size + 1 ELSE 0 END) AS needed
      FROM pragma_page_count AS c, pragma_page_size AS s, pragma_freelist_count AS f, pragma_auto_vacuum AS v,
           (SELECT sum(needed) AS needed FROM btree) AS t
)
