-- Condition: the row is old. A column may contain both numbers and text, and every number sorts before any text: against a cut-off
-- that is text, only text counts. (`typeof` of the column would do as well, but takes a tenth of a deletion's time. The `+` keeps
-- this half from being used as a range of the index on the date, instead of the key.)

{date_column} < :cutoff AND +{date_column} >= CASE typeof(:cutoff) WHEN 'text' THEN '' ELSE -9e999 END{filters}
