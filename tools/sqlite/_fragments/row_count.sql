-- CTE `estimate` over `span` and `entered`, and the SELECT that ends the statement.

estimate AS (
    -- A row takes at least 6 bytes: a span larger than the file can hold is meaningless.
    SELECT CASE WHEN span.n * 6.0 <= f.page_count * s.page_size THEN span.n END AS span, entered.n AS entered
      FROM span, entered, pragma_page_count AS f, pragma_page_size AS s
)
SELECT CASE WHEN :exact THEN (SELECT count(*) FROM {schema}.{table})
            WHEN entered IS NOT NULL THEN min(entered, coalesce(span, entered))
            WHEN span IS NOT NULL THEN span
            ELSE (SELECT count(*) FROM {schema}.{table}) END AS row_count,
       CASE WHEN :exact THEN 'exact'
            WHEN entered <= coalesce(span, entered) THEN 'estimate: rows at the last ANALYZE'
            WHEN span IS NOT NULL THEN 'estimate: span of rowids, an upper bound'
            ELSE 'exact' END AS method
  FROM estimate
