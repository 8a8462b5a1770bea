-- CTE `rebuilt`: the pages that a rebuild of each `segment` would reserve.

rebuilt AS (
    -- The pages a rebuild reserves for that many leaves: half an extent page by page, then whole extents of which an
    -- eighth stays free, at most 4 of them (FSEG_FILLFACTOR, FSEG_FREE_LIST_MAX_LEN in InnoDB's fsp0fsp.h).
    SELECT CAST(CASE WHEN LOCATE('#P#', REPLACE(s.table_name, '#p#', '#P#')) > 0
                THEN CONCAT(SUBSTRING_INDEX(REPLACE(s.table_name, '#p#', '#P#'), '#P#', 1), '#P#') ELSE s.table_name END AS BINARY(256)) AS name,
           s.table_name, s.index_name, s.pages,
           CASE WHEN s.leaves <= s.extent DIV 2 THEN LEAST(s.pages, s.extent DIV 2 + 1)
                ELSE s.extent DIV 2 + CEILING(s.leaves / 500)
                     + s.extent * LEAST(CEILING((s.leaves - s.extent DIV 2) / (s.extent * 7 / 8)),
                                        CEILING((s.leaves - s.extent DIV 2) / s.extent) + 4) END AS needed
      FROM segment AS s
)
