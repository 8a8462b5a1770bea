-- Condition: the row is old. A zero date is no date: it stays, as NULL does. '0001-01-01' tells it from all real ones; where the
-- cut-off is no date but a number or a ULID, the first half is true, and the server folds the whole bracket away.

{date_column} < :cutoff AND (:cutoff NOT LIKE '____-__-__%' OR {date_column} >= '0001-01-01'){filters}
