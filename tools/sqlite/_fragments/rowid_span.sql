-- CTEs `rowids` and `span`: the maximum number of rows in the table.

rowids AS (
    -- Whether the table has rowids, under a name that none of its columns has. The key of a table WITHOUT ROWID is an
    -- index in the list without an entry in the schema.
    SELECT EXISTS (SELECT 1 FROM {schema}.sqlite_schema WHERE type = 'table' AND rootpage <> 0 AND name = :table)
           AND NOT EXISTS (SELECT 1 FROM pragma_table_xinfo(:table, :schema) WHERE lower(name) = '_rowid_')
           AND NOT EXISTS (SELECT 1 FROM pragma_index_list(:table, :schema) AS l
                            WHERE l.origin = 'pk'
                              AND l.name NOT IN (SELECT name FROM {schema}.sqlite_schema WHERE type = 'index')) AS usable
), span AS (
    -- `blank` gives `_rowid_` a meaning (NULL) where the table has none; the CASE keeps it from being read there.
    SELECT CASE WHEN usable AND NOT :exact
                THEN coalesce((SELECT max(_rowid_) FROM {schema}.{table}) - (SELECT min(_rowid_) FROM {schema}.{table}) + 1, 0)
                END AS n
      FROM rowids, (SELECT NULL AS _rowid_) AS blank
)
