-- Blocks that create a view, routine, trigger or event again from the server's own text, in the session's database.

-- view_queries: the queries of all views, in which each name is qualified with its database
SELECT v.TABLE_NAME AS name, v.VIEW_DEFINITION AS query
  FROM information_schema.VIEWS AS v
 WHERE v.TABLE_SCHEMA = DATABASE() AND CAST(v.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))

-- as_invoker: a function runs with its caller's rights
ALTER FUNCTION {name} SQL SECURITY INVOKER

-- as_definer: a function runs with its definer's rights
ALTER FUNCTION {name} SQL SECURITY DEFINER

-- show_view: one view
SHOW CREATE VIEW {name}

-- mode: the SQL mode in which the server writes definitions
SELECT @@sql_mode AS sql_mode

-- text: store the definition, before the session gets the settings it was written in
SET @aishell_text = :statement, @aishell_manner = @@SESSION.sql_mode

-- manner: the settings in which a definition was written
SET SESSION sql_mode = :sql_mode, character_set_client = :charset, collation_connection = :collation

-- prepare: the stored definition
PREPARE aishell_text FROM @aishell_text

-- define: create a view, routine, trigger or event as the server has shown it
EXECUTE aishell_text

-- plainly: return to the session's own settings
SET SESSION sql_mode = @aishell_manner, character_set_client = utf8mb4, character_set_connection = utf8mb4
