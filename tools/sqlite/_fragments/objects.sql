-- CTE `object`: the object under each name in `named`.

object AS (
    -- One pass over the schema: a table and its indexes have the same tbl_name. The index of a UNIQUE or PRIMARY KEY
    -- constraint has no definition of its own, so its name is used instead.
    SELECT tbl_name AS name,
           max(CASE WHEN type = 'view' THEN 'view' WHEN type = 'table' AND rootpage = 0 THEN 'virtual'
                    WHEN type = 'table' THEN 'table' END) AS kind,
           max(sql) FILTER (WHERE type <> 'index') AS sql,
           json_group_array(coalesce(sql, name)) FILTER (WHERE type = 'index') AS indexes
      FROM (SELECT * FROM main.sqlite_schema
             WHERE type IN ('table', 'view', 'index')
               AND tbl_name IN (SELECT name FROM named WHERE "schema" = 'main')
             ORDER BY tbl_name, type, name)
     GROUP BY tbl_name
)
