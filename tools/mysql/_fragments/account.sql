-- CTE `me`: the connected account as the server writes grantees.

me AS (
    -- The account as the server writes it; user names may contain an @.
    SELECT CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH(REPLACE(CURRENT_USER(), '@', ''))),
                  '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''') AS grantee
)
