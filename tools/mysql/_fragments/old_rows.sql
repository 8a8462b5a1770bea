-- Condition: the row is old. A zero date is not a date: the row stays, as with NULL. '0001-01-01' separates it from all real dates; if
-- the cut-off is not a date but a number or a ULID, the first half is true, and the server optimizes the parentheses away.

{date_column} < :cutoff AND (:cutoff NOT LIKE '____-__-__%' OR {date_column} >= '0001-01-01'){filters}
