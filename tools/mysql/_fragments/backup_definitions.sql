-- Blocks that make a view, routine, trigger or event again from the server's own text, in the session's own database.

-- view_queries: the queries of all views, in which each name stands with its database's
SELECT v.TABLE_NAME AS name, v.VIEW_DEFINITION AS query
  FROM information_schema.VIEWS AS v
 WHERE v.TABLE_SCHEMA = DATABASE() AND CAST(v.TABLE_SCHEMA AS BINARY(256)) = CAST(DATABASE() AS BINARY(256))

-- as_invoker: a function runs with its caller's rights
ALTER FUNCTION {name} SQL SECURITY INVOKER

-- as_definer: a function runs with its definer's rights
ALTER FUNCTION {name} SQL SECURITY DEFINER

-- show_view: one view
SHOW CREATE VIEW {name}

-- mode: how the server writes what it shows
SELECT @@sql_mode AS sql_mode

-- text: what is made, before the session is told how that was written
SET @aishell_text = :statement, @aishell_manner = @@SESSION.sql_mode

-- manner: how a definition was written
SET SESSION sql_mode = :sql_mode, character_set_client = :charset, collation_connection = :collation

-- prepare: what was said
PREPARE aishell_text FROM @aishell_text

-- define: a view, routine, trigger or event as the server has shown it
EXECUTE aishell_text

-- plainly: what is sent from now on is in the session's own manner again
SET SESSION sql_mode = @aishell_manner, character_set_client = utf8mb4, character_set_connection = utf8mb4
