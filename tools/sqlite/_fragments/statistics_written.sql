-- A statement: whether sqlite_stat1 describes the current contents of {schema}.{table}.

WITH counted AS (
    -- A count costs a fraction of ANALYZE: both read the table or its smallest index to the end.
    SELECT count(*) AS n FROM {schema}.{table}
), entered AS (
    SELECT count(*) AS entries, max(CAST(stat AS INTEGER)) AS n FROM {schema}.sqlite_stat1 WHERE tbl = :table
), bare AS (
    -- Indexes without an entry. A partial index may validly have none; the key of a table WITHOUT ROWID has the table's name.
    SELECT count(*) AS indexes
      FROM pragma_index_list(:table, :schema) AS l
     WHERE NOT l.partial
       AND NOT EXISTS (SELECT 1 FROM {schema}.sqlite_stat1 AS s
                        WHERE s.tbl = :table AND (s.idx = l.name OR l.origin = 'pk' AND s.idx = :table))
)
SELECT CASE WHEN counted.n = 0 THEN 1
            ELSE entered.entries > 0 AND bare.indexes = 0 AND abs(entered.n - counted.n) <= 50 + counted.n / 10 END AS ok,
       counted.n AS rows,
       entered.n AS rows_in_statistics,
       entered.entries AS entries
  FROM counted, entered, bare
